// @ts-check
// How far this machine's clock is from the hub's. Each answer's Date header, and when it was asked and came, bound it.

let least = -Infinity;
let most = Infinity;

/** @param {number} askedAt @param {number} cameAt @param {string | null} dateHeader */
export function learnTime(askedAt, cameAt, dateHeader) {
  const said = Date.parse(dateHeader ?? "");          // whole seconds, rounded down
  if (!Number.isFinite(said)) return;
  const low = askedAt - (said + 1_000);
  const high = cameAt - said;
  if (low > most || high < least) { least = low; most = high; return; }      // a clock was set meanwhile
  least = Math.max(least, low);
  most = Math.min(most, high);
}

/** What to take from this machine's time to have the hub's; 0 while nothing speaks against it. */
export const skewMs = () => (least > 0 ? least : most < 0 ? most : 0);

/** For tests: know nothing again. */
export function forgetTime() { least = -Infinity; most = Infinity; }
