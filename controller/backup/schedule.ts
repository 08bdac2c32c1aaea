/** When the agent is asked next. Pure. */

/** After an attempt that came to nothing the agent waits with its next offer, so this is the same whatever happened. A sixth
 * more or less keeps guests from asking together. */
export const waitMs = (pollMs: number, random: number): number => Math.round(pollMs * (1 + (random * 2 - 1) / 6));
