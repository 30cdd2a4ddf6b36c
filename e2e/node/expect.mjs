import assert from 'node:assert/strict';

// refused waits for the library to throw its own exception with this status and type.
export async function refused(call, code, type) {
  let thrown;
  try {
    await call;
  } catch (e) {
    thrown = e;
  }
  assert.ok(thrown, `this should have been refused with ${code} ${type}`);
  assert.equal(thrown.constructor.name, 'AppwriteException', thrown.stack);
  assert.deepEqual([thrown.code, thrown.type], [code, type], thrown.message);
  assert.ok(thrown.message.length > 0);
}
