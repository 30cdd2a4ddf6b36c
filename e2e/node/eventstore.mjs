// The event log as other services use it: by an official client of EventStoreDB or KurrentDB, named on the command line
// with the address of the log. The newer one calls an expected revision a stream's state; else they are alike.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';

const [library, address] = process.argv.slice(2);
const db = await import(library);
const { BACKWARDS, END, FORWARDS, NO_STREAM, START, jsonEvent } = db;
const newer = 'KurrentDBClient' in db;
const [Client, scheme] = newer ? [db.KurrentDBClient, 'kurrentdb'] : [db.EventStoreDBClient, 'esdb'];
const client = Client.connectionString(`${scheme}://${address}?tls=false`);
const expect = (revision) => (newer ? { streamState: revision } : { expectedRevision: revision });
const run = randomUUID(); // several clients use one log

const dice = (n) => jsonEvent({ type: `dice-rolled-${run}`, data: { n }, metadata: { by: 'ada' } });
const numbers = async (events) => {
  const list = [];
  for await (const { event } of events) list.push(event.data.n);
  return list;
};
// until gives the events of a subscription up to the first that is wanted.
const until = async (subscription, wanted) => {
  const seen = [];
  for await (const resolved of subscription) {
    seen.push(resolved.event);
    if (wanted(seen)) return seen;
  }
  throw new Error('the subscription ended');
};

const stream = `dice-${run}`;

// Append, and be refused.
const first = await client.appendToStream(stream, [dice(1), dice(2)], expect(NO_STREAM));
assert.equal(first.success, true);
assert.equal(first.nextExpectedRevision, 1n);
const second = await client.appendToStream(stream, dice(3), expect(1n));
assert.equal(second.nextExpectedRevision, 2n);
assert.ok(second.position.commit > first.position.commit);
await assert.rejects(client.appendToStream(stream, dice(4), expect(1n)), (e) => {
  assert.ok(e instanceof db.WrongExpectedVersionError, e.stack);
  assert.equal(newer ? e.expectedState : e.expectedVersion, 1n);
  assert.equal(newer ? e.actualState : e.actualVersion, 2n);
  return true;
});
await assert.rejects(client.appendToStream(stream, dice(4), expect(NO_STREAM)), db.WrongExpectedVersionError);

// Read, in both directions and from the middle.
assert.deepEqual(await numbers(client.readStream(stream, { direction: FORWARDS, fromRevision: START })), [1, 2, 3]);
assert.deepEqual(await numbers(client.readStream(stream, { direction: BACKWARDS, fromRevision: END })), [3, 2, 1]);
assert.deepEqual(await numbers(client.readStream(stream, { direction: FORWARDS, fromRevision: 1n, maxCount: 1 })), [2]);
for await (const { event } of client.readStream(stream, { direction: BACKWARDS, fromRevision: END, maxCount: 1 })) {
  assert.equal(event.type, `dice-rolled-${run}`);
  assert.deepEqual(event.metadata, { by: 'ada' });
  assert.equal(event.revision, 2n);
  assert.equal(event.streamId, stream);
}
await assert.rejects(numbers(client.readStream(`nothing-${run}`)), db.StreamNotFoundError);

// Follow everything, filtered by type: what was, that this is all, and what comes.
const rolls = client.subscribeToAll({ fromPosition: START, filter: db.eventTypeFilter({ prefixes: [`dice-rolled-${run}`] }) });
const caughtUp = once(rolls, 'caughtUp');
const all = until(rolls, (seen) => seen.length === 4);
await caughtUp;
await client.appendToStream(stream, dice(5), expect(2n));
assert.deepEqual((await all).map((e) => e.data.n), [1, 2, 3, 5]);
await rolls.unsubscribe();

// A persistent subscription: what is refused comes again, what is acknowledged does not.
const group = `counters-${run}`;
await client.createPersistentSubscriptionToStream(stream, group, db.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: START }));
const counter = client.subscribeToPersistentSubscriptionToStream(stream, group);
const counted = [];
for await (const resolved of counter) {
  const { n } = resolved.event.data;
  if (n === 2 && !counted.includes(2)) await counter.nack(db.RETRY, 'not now', resolved);
  else await counter.ack(resolved);
  counted.push(n);
  if (counted.length === 5) break;
}
assert.deepEqual(counted.sort(), [1, 2, 2, 3, 5]);
const info = await client.getPersistentSubscriptionToStreamInfo(stream, group);
assert.equal(info.groupName, group);
await client.deletePersistentSubscriptionToStream(stream, group);

// Whoever signs up is seen by those who follow accounts, and nothing personal can be read.
const accounts = client.subscribeToAll({ fromPosition: END, filter: db.streamNameFilter({ prefixes: ['account-'] }) });
await once(accounts, 'caughtUp');
const userId = run.replaceAll('-', '');
const created = until(accounts, (seen) => seen.at(-1).type === 'account.created.v1' && seen.at(-1).streamId.includes(userId));
const signUp = await fetch(`${process.env.ACTA_ENDPOINT}/account`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'X-Appwrite-Project': 'demo' },
  body: JSON.stringify({ userId, email: `grace.${userId}@example.com`, password: 'correct horse', name: 'Grace Hopper' }),
});
assert.equal(signUp.status, 201, await signUp.text());
for (const event of await created) {
  assert.ok(event.streamId.startsWith('account-'), event.streamId);
  const text = JSON.stringify([event.data, event.metadata]);
  for (const secret of ['grace', '@example.com', 'Hopper', 'argon2', '127.0.0.1']) {
    assert.ok(!text.includes(secret), `${secret} can be read: ${text}`);
  }
  assert.ok(event.data.personal, text); // it is there, sealed
}
await accounts.unsubscribe();
await client.dispose();
