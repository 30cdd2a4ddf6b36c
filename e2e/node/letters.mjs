import assert from 'node:assert/strict';

// letter waits for the next letter or text message to an address that was not taken yet.
export async function letter(to) {
  const answer = await fetch(`${process.env.ACTA_LETTERS}/next?to=${encodeURIComponent(to)}`);
  assert.equal(answer.status, 200, `no letter to ${to} came`);
  return answer.json();
}

// told takes the next letter to an address, which tells of a change and has nothing to click on.
export async function told(to, sentence) {
  const { subject, text, html } = await letter(to);
  assert.equal(subject, 'Security alert: a change to your Demo account');
  assert.ok(text.includes(sentence) && !/https?:/.test(text + html), text);
}

// parameters are those of the link in a letter, which stands on a line of its own.
export function parameters({ text }, path) {
  const line = text.split('\n').find((l) => l.trim().startsWith('http'));
  assert.ok(line, text);
  const url = new URL(line.trim());
  if (path) assert.equal(url.origin + url.pathname, path);
  const { userId, secret, expire } = Object.fromEntries(url.searchParams);
  assert.ok(userId && secret && !Number.isNaN(Date.parse(expire)), line);
  return { userId, secret };
}

// code is the first group of six digits in a letter.
export const code = ({ text }) => text.match(/\b\d{6}\b/)[0];
