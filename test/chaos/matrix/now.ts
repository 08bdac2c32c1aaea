/** One clock for all processes of a test: it never jumps, whatever the wall clock says. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;
