// The life of an account as a web page sees it, through the client library for browsers. The caller says with --import
// which kind of browser it is.
import assert from 'node:assert/strict';
import { Account, AppwriteException, Client, ID, Query } from 'appwrite';
import { refused } from './expect.mjs';

const account = new Account(new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo'));
const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/;
const email = `${ID.unique()}@example.com`;
const password = 'correct horse';
const signIn = (address = email, secret = password) => account.createEmailPasswordSession({ email: address, password: secret });

// Nobody is signed in yet.
await refused(account.get(), 401, 'general_unauthorized_scope');
await assert.rejects(account.get(), AppwriteException);

// Signing up.
const userId = ID.unique();
const created = await account.create({ userId, email: email.toUpperCase(), password, name: 'Ada' });
assert.equal(created.$id, userId);
assert.equal(created.email, email);
assert.equal(created.name, 'Ada');
assert.equal(created.status, true);
assert.equal(created.emailVerification, false);
assert.deepEqual(created.prefs, {});
assert.deepEqual(created.labels, []);
assert.match(created.$createdAt, stamp);
assert.match(created.registration, stamp);
assert.equal(created.targets[0].identifier, email);
assert.equal('password' in created, false);
await refused(account.create({ userId: ID.unique(), email, password }), 409, 'user_already_exists');
await refused(account.create({ userId: ID.unique(), email: email.toUpperCase(), password }), 409, 'user_already_exists');
await refused(account.create({ userId, email: `other.${email}`, password }), 409, 'user_already_exists');
await refused(account.create({ userId: ID.unique(), email: `other.${email}`, password: '7 bytes' }), 400, 'general_argument_invalid');
await refused(account.create({ userId: ID.unique(), email: 'no address', password }), 400, 'general_argument_invalid');
await refused(account.get(), 401, 'general_unauthorized_scope'); // signing up does not sign in

// Signing in.
await refused(signIn(email, 'wrong password'), 401, 'user_invalid_credentials');
await refused(signIn(`nobody.${email}`), 401, 'user_invalid_credentials');
const session = await signIn();
assert.equal(session.userId, userId);
assert.equal(session.provider, 'email');
assert.equal(session.current, true);
assert.equal(session.secret, ''); // pages get it where scripts cannot read it, or in the fallback header
assert.ok(Date.parse(session.expire) > Date.now());
assert.equal((await account.get()).$id, userId);
await refused(signIn(), 401, 'user_session_already_exists');

// Changing what the account is.
assert.equal((await account.updateName({ name: 'Ada Lovelace' })).name, 'Ada Lovelace');
assert.equal((await account.get()).name, 'Ada Lovelace');
await refused(account.updateName({ name: '' }), 400, 'general_argument_invalid');

const taken = `taken.${email}`;
const changed = `changed.${email}`;
await account.create({ userId: ID.unique(), email: taken, password });
await refused(account.updateEmail({ email: changed, password: 'wrong password' }), 401, 'user_invalid_credentials');
await refused(account.updateEmail({ email: taken, password }), 409, 'user_target_already_exists');
assert.equal((await account.updateEmail({ email: changed, password })).email, changed);
assert.equal((await account.get()).targets[0].identifier, changed);
await account.create({ userId: ID.unique(), email, password: 'another one' }); // the address that was let go is free

assert.deepEqual((await account.updatePrefs({ prefs: { theme: 'dark', list: [1, 'é', { deep: true }] } })).prefs, { theme: 'dark', list: [1, 'é', { deep: true }] });
assert.deepEqual((await account.updatePrefs({ prefs: { size: 12 } })).prefs, { size: 12 }); // replaced, not merged
assert.deepEqual(await account.getPrefs(), { size: 12 });
await account.updatePrefs({ prefs: {} });
assert.deepEqual(await account.getPrefs(), {});

// A second browser of the same person; a new password signs it out and keeps the one that asked.
useBrowser('second');
await signIn(changed);
useBrowser('first');
await refused(account.updatePassword({ password: 'battery staple', oldPassword: 'wrong password' }), 401, 'user_invalid_credentials');
assert.match((await account.updatePassword({ password: 'battery staple', oldPassword: password })).passwordUpdate, stamp);
assert.equal((await account.get()).$id, userId);
useBrowser('second');
await refused(account.get(), 401, 'general_unauthorized_scope');
useBrowser('second, reopened');
await refused(signIn(changed), 401, 'user_invalid_credentials'); // the old password
const second = await signIn(changed, 'battery staple');

// Where the person is signed in.
useBrowser('first');
const { total, sessions } = await account.listSessions();
assert.equal(total, 2);
assert.deepEqual(sessions.map((s) => [s.$id, s.current, s.secret]), [[session.$id, true, ''], [second.$id, false, '']]);
assert.equal((await account.getSession({ sessionId: 'current' })).$id, session.$id);
assert.equal((await account.getSession({ sessionId: second.$id })).current, false);
await refused(account.getSession({ sessionId: ID.unique() }), 404, 'user_session_not_found');
const extended = await account.updateSession({ sessionId: 'current' });
assert.ok(extended.expire > session.expire, `${extended.expire} is not later than ${session.expire}`);
await account.deleteSession({ sessionId: second.$id });
await refused(account.deleteSession({ sessionId: second.$id }), 404, 'user_session_not_found');
assert.equal((await account.listSessions()).total, 1);
useBrowser('second, reopened');
await refused(account.get(), 401, 'general_unauthorized_scope');
useBrowser('first');

// The security log, newest first.
const logs = await account.listLogs();
assert.equal(logs.total, logs.logs.length);
assert.deepEqual([logs.logs[0].event, logs.logs.at(-1).event], ['session.delete', 'user.create']);
assert.deepEqual([logs.logs[0].userId, logs.logs[0].userEmail, logs.logs.at(-1).userEmail], [userId, changed, email]);
assert.match(logs.logs[0].time, stamp);
const page = await account.listLogs({ queries: [Query.limit(2), Query.offset(1)] });
assert.equal(page.total, logs.total);
assert.deepEqual(page.logs, logs.logs.slice(1, 3));
await refused(account.listLogs({ queries: [Query.equal('event', ['user.create'])] }), 400, 'general_argument_invalid');
await refused(account.listLogs({ queries: [Query.limit(0)] }), 400, 'general_argument_invalid');

// Signing out, here and everywhere.
assert.deepEqual(await account.deleteSession({ sessionId: 'current' }), { message: '' }); // how the library shows a 204
await refused(account.get(), 401, 'general_unauthorized_scope');
await signIn(changed, 'battery staple');
useBrowser('third');
await signIn(changed, 'battery staple');
await account.deleteSessions();
await refused(account.get(), 401, 'general_unauthorized_scope');
useBrowser('first');
await refused(account.get(), 401, 'general_unauthorized_scope');

// Closing the account: this browser forgets its session, another one is told.
await signIn(changed, 'battery staple');
useBrowser('third');
await signIn(changed, 'battery staple');
useBrowser('first');
assert.equal((await account.updateStatus()).status, false);
await refused(account.get(), 401, 'general_unauthorized_scope');
await refused(signIn(changed, 'battery staple'), 401, 'user_blocked');
await refused(signIn(changed, 'wrong password'), 401, 'user_invalid_credentials');
useBrowser('third');
await refused(account.get(), 401, 'user_blocked');
