// Every way in with the client library of the 1.4 generation, which calls them by their older names.
import assert from 'node:assert/strict';
import { Account, Client, ID } from 'appwrite-1.4';
import { refused } from './expect.mjs';
import { code, letter, parameters, told } from './letters.mjs';

const client = () => new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const account = new Account(client());
const page = 'http://localhost/page';
const address = () => `${Math.random().toString(36).slice(2)}@example.com`;

// Anonymous, then with an address of its own, in the same session.
const anonymous = await account.createAnonymousSession();
const ada = address();
assert.equal((await account.updateEmail(ada, 'correct horse')).$id, anonymous.userId);

// Verification of address and phone.
await account.createVerification(page);
let link = parameters(await letter(ada), page);
await account.updateVerification(link.userId, link.secret);
assert.equal((await account.get()).emailVerification, true);
let phone = '+491762222222';
await account.updatePhone(phone, 'correct horse');
await told(ada, 'The phone number of your Demo account was changed.');
await account.createPhoneVerification();
await account.updatePhoneVerification(anonymous.userId, code(await letter(phone)));
assert.equal((await account.get()).phoneVerification, true);
await told(ada, 'The phone number of your Demo account was verified.');

// A token, which is worth nothing once the session has ended.
const { jwt } = await account.createJWT();
assert.equal((await new Account(client().setJWT(jwt)).get()).$id, anonymous.userId);
await account.deleteSession('current');
await refused(new Account(client().setJWT(jwt)).get(), 401, 'general_unauthorized_scope');

// A forgotten password; this generation types the new one twice.
await account.createRecovery(ada, page);
link = parameters(await letter(ada), page);
await refused(account.updateRecovery(link.userId, link.secret, 'another horse', 'another house'), 400, 'user_password_mismatch');
await account.updateRecovery(link.userId, link.secret, 'another horse', 'another horse');
await account.createEmailSession(ada, 'another horse');
await account.deleteSession('current');

// Magic URL and phone, whose tokens are called sessions here. ID.unique() is the text "unique()".
const grace = address();
assert.equal(ID.unique(), 'unique()');
const token = await account.createMagicURLSession(ID.unique(), grace, page);
link = parameters(await letter(grace), page);
assert.equal(link.userId, token.userId);
assert.equal((await account.updateMagicURLSession(link.userId, link.secret)).provider, 'magic-url');
assert.equal((await account.get()).email, grace);
await account.deleteSession('current');
phone = '+491763333333';
const sms = await account.createPhoneSession(ID.unique(), phone);
assert.equal((await account.updatePhoneSession(sms.userId, code(await letter(phone)))).provider, 'phone');
assert.equal((await account.get()).phone, phone);
await account.deleteSessions();
