// A server that signs its visitors up and in with an API key and then acts for each with their session, through the
// client library for Node.
import assert from 'node:assert/strict';
import { Account, AppwriteException, Client, ID, Query } from 'node-appwrite';
import { refused } from './expect.mjs';

const client = () => new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const chrome = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.77 Safari/537.36';
const server = new Account(client().setKey(process.env.ACTA_KEY).setForwardedUserAgent(chrome));
const email = `${ID.unique()}@example.com`;
const password = 'correct horse';

const created = await server.create({ userId: 'unique()', email, password, name: 'Grace' });
assert.match(created.$id, /^[0-9a-f]{20}$/);
await refused(server.create({ userId: ID.unique(), email, password }), 409, 'user_already_exists');
await refused(server.createEmailPasswordSession({ email, password: 'wrong password' }), 401, 'user_invalid_credentials');

// With a key the answer holds the secret, which is the session. The visitor's browser is on record, not this server.
const session = await server.createEmailPasswordSession({ email, password });
assert.ok(session.secret.length > 0);
assert.deepEqual([session.osName, session.clientName, session.clientVersion, session.deviceName], ['Windows', 'Chrome', '70.0', 'desktop']);
const grace = new Account(client().setSession(session.secret));
assert.equal((await grace.get()).$id, created.$id);
assert.equal((await grace.updateName({ name: 'Grace Hopper' })).name, 'Grace Hopper');
await grace.updatePrefs({ prefs: { theme: 'dark' } });
assert.deepEqual({ ...await grace.getPrefs() }, { theme: 'dark' }); // the library makes objects without a prototype
assert.equal((await grace.getSession({ sessionId: 'current' })).secret, ''); // given once
const logs = await grace.listLogs({ queries: [Query.limit(2)] });
assert.deepEqual([logs.total, logs.logs.map((l) => l.event)], [4, ['user.update', 'user.update']]);

// Each credential alone, and each only where it belongs.
await refused(new Account(client().setKey(process.env.ACTA_KEY).setSession(session.secret)).get(), 403, 'user_key_and_session_set');
await refused(server.get(), 401, 'general_unauthorized_scope');
await refused(new Account(client().setKey('standard_not_a_key_of_ours')).get(), 401, 'user_unauthorized');
await refused(new Account(client().setSession(session.secret.slice(0, -4))).get(), 401, 'general_unauthorized_scope');
await refused(new Account(client().setProject('nowhere').setSession(session.secret)).get(), 404, 'project_not_found');
await assert.rejects(new Account(client()).get(), AppwriteException);

// As many sessions as a server asks for; each ends alone.
const other = await server.createEmailPasswordSession({ email, password });
assert.equal((await grace.listSessions()).total, 2);
await grace.deleteSession({ sessionId: session.$id });
await refused(grace.get(), 401, 'general_unauthorized_scope');
assert.equal((await new Account(client().setSession(other.secret)).get()).name, 'Grace Hopper');
