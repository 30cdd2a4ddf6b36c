// Every way in with today's client library for browsers: letters arrive, and what stands in them opens the account.
import assert from 'node:assert/strict';
import { Account, Client, ID } from 'appwrite';
import { refused } from './expect.mjs';
import { code, letter, parameters, told } from './letters.mjs';

const client = () => new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const account = new Account(client());
const page = 'http://localhost/page';
const address = () => `${ID.unique()}@example.com`;
let phone = '+491761234567';

// Anonymous, then with an address of its own, in the same session.
let session = await account.createAnonymousSession();
assert.deepEqual([session.provider, session.factors], ['anonymous', ['anonymous']]);
await refused(account.createAnonymousSession(), 401, 'user_session_already_exists');
await refused(account.createEmailVerification({ url: page }), 400, 'user_email_not_found');
const ada = address();
const converted = await account.updateEmail({ email: ada, password: 'correct horse' });
assert.deepEqual([converted.$id, converted.email, converted.emailVerification], [session.userId, ada, false]);
assert.equal((await account.getSession({ sessionId: 'current' })).$id, session.$id);

// The address is verified by a link.
await refused(account.createEmailVerification({ url: 'http://remotehost/page' }), 400, 'general_argument_invalid');
await refused(account.createEmailVerification({ url: 'localhost/page' }), 400, 'general_argument_invalid');
let token = await account.createEmailVerification({ url: `${page}?from=mail` });
assert.deepEqual([token.userId, token.secret], [converted.$id, '']);
let mail = await letter(ada);
assert.equal(mail.subject, 'Account Verification for Demo');
let link = parameters(mail, page);
assert.match(mail.text, /from=mail&userId=[^&]+&secret=[0-9a-f]{256}&expire=/);
assert.ok(mail.text.includes(`expire=${encodeURIComponent(token.expire)}`));
await refused(account.updateEmailVerification({ ...link, secret: 'wrong' }), 401, 'user_invalid_token');
await refused(account.updateEmailVerification({ ...link, userId: 'nobody' }), 404, 'user_not_found');
await account.updateEmailVerification(link);
assert.equal((await account.get()).emailVerification, true);
await refused(account.updateEmailVerification(link), 401, 'user_invalid_token');
await refused(account.createEmailVerification({ url: page }), 409, 'user_email_already_verified');

// A phone, and a code that verifies it.
await account.updatePhone({ phone, password: 'correct horse' });
await told(ada, 'The phone number of your Demo account was changed.');
await account.createPhoneVerification();
await account.updatePhoneVerification({ userId: converted.$id, secret: code(await letter(phone)) });
assert.equal((await account.get()).phoneVerification, true);
await told(ada, 'The phone number of your Demo account was verified.');

// A token that stands for the session, as long as that lasts.
const { jwt } = await account.createJWT();
const byToken = new Account(client().setJWT(jwt));
await account.deleteSession({ sessionId: 'current' });
await refused(byToken.get(), 401, 'general_unauthorized_scope');
await refused(new Account(client().setJWT(`${jwt}x`)).get(), 401, 'user_jwt_invalid');

// A forgotten password.
await refused(account.createRecovery({ email: address(), url: page }), 404, 'user_not_found');
await account.createRecovery({ email: ada, url: page });
mail = await letter(ada);
assert.equal(mail.subject, 'Password Reset for Demo');
link = parameters(mail, page);
await account.updateRecovery({ ...link, password: 'another horse' });
await told(ada, 'The password of your Demo account was reset');
await refused(account.updateRecovery({ ...link, password: 'a third horse' }), 401, 'user_invalid_token');
await refused(account.createEmailPasswordSession({ email: ada, password: 'correct horse' }), 401, 'user_invalid_credentials');
await account.createEmailPasswordSession({ email: ada, password: 'another horse' });
await account.deleteSession({ sessionId: 'current' });

// A magic URL makes an account, and opens it; the phrase shows whose request it was.
const grace = address();
token = await account.createMagicURLToken({ userId: ID.unique(), email: grace, url: page, phrase: true });
mail = await letter(grace);
assert.equal(mail.subject, 'Demo Login');
assert.ok(token.phrase && mail.text.includes(token.phrase));
link = parameters(mail, page);
assert.deepEqual([link.userId, link.secret.length], [token.userId, 64]);
session = await account.updateMagicURLSession(link);
assert.deepEqual([session.provider, session.factors, (await account.get()).emailVerification], ['magic-url', ['email'], true]);
await account.deleteSession({ sessionId: 'current' });
await refused(account.createSession(link), 401, 'user_invalid_token');
await account.createMagicURLToken({ userId: ID.unique(), email: grace, url: page });
mail = await letter(grace);
assert.ok(!mail.text.includes('security phrase'));
link = parameters(mail);
session = await account.createSession(link);
assert.equal(session.userId, token.userId);
await account.deleteSession({ sessionId: 'current' });

// A code by mail.
token = await account.createEmailToken({ userId: ID.unique(), email: grace });
mail = await letter(grace);
assert.equal(mail.subject, 'OTP for Demo Login');
await refused(account.createSession({ userId: token.userId, secret: '12345x' }), 401, 'user_invalid_token');
session = await account.createSession({ userId: token.userId, secret: code(mail) });
assert.equal(session.provider, 'token');
await account.deleteSession({ sessionId: 'current' });

// A code by text message, for somebody new.
phone = '+491767654321';
token = await account.createPhoneToken({ userId: ID.unique(), phone });
const sent = code(await letter(phone));
await refused(account.updatePhoneSession({ userId: token.userId, secret: sent === '000000' ? '111111' : '000000' }), 401, 'user_invalid_token');
session = await account.updatePhoneSession({ userId: token.userId, secret: sent });
const member = await account.get();
assert.deepEqual([session.provider, session.factors, member.phone, member.phoneVerification], ['phone', ['phone'], phone, true]);
assert.deepEqual(member.targets.map((t) => [t.providerType, t.identifier]), [['sms', phone]]);
await account.deleteSession({ sessionId: 'current' });
token = await account.createPhoneToken({ userId: ID.unique(), phone });
session = await account.createSession({ userId: token.userId, secret: code(await letter(phone)) });
assert.equal(session.provider, 'phone');
await account.deleteSessions();
