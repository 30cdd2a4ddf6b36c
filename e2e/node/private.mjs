// Every way in by a letter, with both client libraries, to a project that tells guests nothing about who is registered.
import assert from 'node:assert/strict';
import { Account, Client, ID } from 'appwrite';
import { Account as Account14, Client as Client14 } from 'appwrite-1.4';
import { refused } from './expect.mjs';
import { code, letter, parameters, told } from './letters.mjs';

const connect = (client) => client.setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const account = new Account(connect(new Client()));
const older = new Account14(connect(new Client14()));
const page = 'http://localhost/page';
const email = `${ID.unique()}@example.com`;
const phone = '+491764444444';

// The id that a token is answered with opens the account, and so does the one in the letter. The first makes the account.
let token = await account.createEmailToken({ userId: ID.unique(), email });
let session = await account.createSession({ userId: token.userId, secret: code(await letter(email)) });
const id = (await account.get()).$id;
assert.equal(session.userId, id);
assert.notEqual(token.userId, id);
await account.deleteSessions();

token = await account.createMagicURLToken({ userId: ID.unique(), email, url: page });
let link = parameters(await letter(email), page);
assert.equal(link.userId, id);
session = await account.updateMagicURLSession({ userId: token.userId, secret: link.secret });
assert.equal(session.userId, id);
await account.deleteSessions();

token = await account.createPhoneToken({ userId: ID.unique(), phone });
await account.createSession({ userId: token.userId, secret: code(await letter(phone)) });
assert.equal((await account.get()).phone, phone);
await account.deleteSessions();

token = await account.createRecovery({ email, url: page });
link = parameters(await letter(email), page);
await account.updateRecovery({ userId: token.userId, secret: link.secret, password: 'correct horse' });
await told(email, 'The password of your Demo account was reset');
await account.createEmailPasswordSession({ email, password: 'correct horse' });
await account.deleteSessions();

// The older names.
token = await older.createMagicURLSession(ID.unique(), email, page);
link = parameters(await letter(email), page);
assert.equal((await older.updateMagicURLSession(link.userId, link.secret)).userId, id);
await older.deleteSessions();
token = await older.createPhoneSession(ID.unique(), phone);
await older.updatePhoneSession(token.userId, code(await letter(phone)));
assert.equal((await older.get()).phone, phone);
await older.deleteSessions();

// Nobody's address is answered like somebody's.
token = await account.createRecovery({ email: `${ID.unique()}@example.com`, url: page });
await refused(account.updateRecovery({ userId: token.userId, secret: link.secret, password: 'correct horse' }), 401, 'user_invalid_token');
