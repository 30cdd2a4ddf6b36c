// A server sends its visitor to a provider with today's client library for servers, and gets them back with a token.
import assert from 'node:assert/strict';
import { Account, Client } from 'node-appwrite';
import { refused } from './expect.mjs';

const client = () => new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const admin = new Account(client().setKey(process.env.ACTA_KEY));
const success = 'http://app.localhost/in';

let at = await admin.createOAuth2Token({ provider: 'oidc', success, failure: 'http://app.localhost/out', scopes: ['groups'] });
assert.ok(new URL(at).searchParams.get('scope').split(' ').includes('groups'));
// The visitor's browser has none of the server's cookies.
for (let hops = 0; !at.startsWith(success); hops += 1) {
  assert.ok(hops < 5 && !at.includes('/out?'), at);
  const answer = await fetch(at, { redirect: 'manual' });
  assert.ok(answer.status >= 301 && answer.status <= 303, `${answer.status} ${await answer.text()}`);
  assert.equal(answer.headers.get('set-cookie'), null);
  at = new URL(answer.headers.get('location'), at).href;
}
const { userId, secret } = Object.fromEntries(new URL(at).searchParams);
const session = await admin.createSession({ userId, secret });
assert.deepEqual([session.provider, session.factors], ['oidc', ['oauth2']]);
assert.ok(session.secret);
await refused(admin.createSession({ userId, secret }), 401, 'user_invalid_token');
const account = new Account(client().setSession(session.secret));
assert.equal((await account.get()).email, 'server@example.com');
const { identities, total } = await account.listIdentities({ queries: ['{"method":"equal","attribute":"provider","values":["oidc"]}'] });
assert.deepEqual([total, identities[0].providerEmail, identities[0].userId], [1, 'server@example.com', userId]);

// Other tokens from the provider, for a session that goes on.
const before = (await account.getSession({ sessionId: 'current' })).providerAccessTokenExpiry;
const extended = await account.updateSession({ sessionId: 'current' });
assert.ok(extended.providerAccessToken && extended.providerRefreshToken && extended.providerAccessTokenExpiry);
assert.notEqual(extended.providerAccessTokenExpiry, before);
await account.deleteIdentity({ identityId: identities[0].$id });
await refused(account.deleteIdentity({ identityId: identities[0].$id }), 404, 'user_identity_not_found');
