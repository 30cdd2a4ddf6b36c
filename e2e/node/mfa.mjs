// Second factors with today's client library for browsers: an authenticator program, codes by mail and text message,
// recovery codes, and what the owner is told of all that.
import assert from 'node:assert/strict';
import { Account, AuthenticationFactor, AuthenticatorType, Client, ID } from 'appwrite';
import { TOTP, URI } from 'otpauth';
import { refused } from './expect.mjs';
import { code, letter, parameters, told as toldTo } from './letters.mjs';

const client = () => new Client().setEndpoint(process.env.ACTA_ENDPOINT).setProject('demo');
const account = new Account(client());
const email = `${ID.unique()}@example.com`;
const phone = '+491761111111';
const password = 'correct horse';
const signIn = () => account.createEmailPasswordSession({ email, password });
const signOut = () => account.deleteSession({ sessionId: 'current' });
const told = (sentence) => toldTo(email, sentence);

// challenge proves a factor to the session that the library has.
async function challenge(factor, answer) {
  const { $id } = await account.createMFAChallenge({ factor });
  const otp = await answer();
  await refused(account.updateMFAChallenge({ challengeId: $id, otp: otp === '000000' ? '111111' : '000000' }), 401, 'user_invalid_token');
  const session = await account.updateMFAChallenge({ challengeId: $id, otp });
  await refused(account.updateMFAChallenge({ challengeId: $id, otp }), 401, 'user_invalid_token');
  return session;
}

// Somebody with an address and a number that are verified.
await account.create({ userId: ID.unique(), email, password, name: 'Ada' });
await signIn();
await account.createEmailVerification({ url: 'http://localhost/page' });
await account.updateEmailVerification(parameters(await letter(email)));
await account.updatePhone({ phone, password });
await told('The phone number of your Demo account was changed.');
const member = await account.createPhoneVerification();
await account.updatePhoneVerification({ userId: member.userId, secret: code(await letter(phone)) });
await told('The phone number of your Demo account was verified.');

// An authenticator program reads the URI that a QR code shows.
const added = await account.createMFAAuthenticator({ type: AuthenticatorType.Totp });
const authenticator = URI.parse(added.uri);
assert.deepEqual([authenticator.secret.base32, authenticator.issuer, authenticator.label], [added.secret, 'Demo', email]);
assert.ok(authenticator instanceof TOTP);
let last = '';
const generate = async () => { // a code is good once: the next one comes within thirty seconds
  let otp = authenticator.generate();
  while (otp === last) {
    await new Promise((r) => setTimeout(r, authenticator.remaining() + 1));
    otp = authenticator.generate();
  }
  return (last = otp);
};
await refused(account.updateMFAAuthenticator({ type: AuthenticatorType.Totp, otp: '12345' }), 401, 'user_invalid_token');
await account.updateMFAAuthenticator({ type: AuthenticatorType.Totp, otp: await generate() });
await told('An authenticator app was added to your Demo account.');
assert.deepEqual(await account.listMFAFactors(), { totp: true, phone: true, email: true, recoveryCode: false });

// Recovery codes, and then a second factor is asked for.
const { recoveryCodes } = await account.createMFARecoveryCodes();
assert.equal(recoveryCodes.length, 6);
await told('New recovery codes were made for your Demo account.');
await refused(account.createMFARecoveryCodes(), 409, 'user_recovery_codes_already_exists');
assert.equal((await account.updateMFA({ mfa: true })).mfa, true);
await told('From now on your Demo account asks for a second factor');
assert.equal((await account.get()).mfa, true);
await signOut();

// Each factor opens the session that was asked for it.
const answers = {
  [AuthenticationFactor.Email]: async () => {
    const mail = await letter(email);
    assert.equal(mail.subject, 'Verification code for Demo');
    return code(mail);
  },
  [AuthenticationFactor.Phone]: async () => code(await letter(phone)),
  [AuthenticationFactor.Recoverycode]: async () => recoveryCodes[0],
  [AuthenticationFactor.Totp]: generate,
};
for (const [factor, answer] of Object.entries(answers)) {
  const session = await signIn();
  assert.deepEqual(session.factors, ['password']);
  await refused(account.get(), 401, 'user_more_factors_required');
  await refused(account.createJWT(), 401, 'user_more_factors_required');
  await refused(account.updateMFA({ mfa: false }), 401, 'user_more_factors_required');
  assert.equal((await account.listMFAFactors()).totp, true);
  const proved = await challenge(factor, answer);
  assert.deepEqual([proved.$id, proved.factors], [session.$id, ['password', factor]]);
  assert.ok(proved.mfaUpdatedAt);
  assert.equal((await account.get()).email, email);
  if (factor === AuthenticationFactor.Recoverycode) await told('A recovery code was used to sign in');
  if (factor !== AuthenticationFactor.Totp) await signOut();
}

// What was proved a short while ago may change the factors.
assert.deepEqual((await account.getMFARecoveryCodes()).recoveryCodes, recoveryCodes.slice(1));
const renewed = (await account.updateMFARecoveryCodes()).recoveryCodes;
assert.ok(renewed.every((c) => !recoveryCodes.includes(c)));
await told('New recovery codes were made');
await account.deleteMFAAuthenticator({ type: AuthenticatorType.Totp });
await told('The authenticator app was removed');
assert.equal((await account.updateMFA({ mfa: false })).mfa, false);
await told('no longer asks for a second factor');
await signOut();
await signIn();
await account.get();
await refused(account.getMFARecoveryCodes(), 401, 'user_challenge_required');
assert.deepEqual((await account.listIdentities()).identities, []);
