/** How long things took, for whoever runs the suite. */
const taken: [what: string, ms: number][] = [];

export const figure = (what: string, ms: number): void => void taken.push([what, ms]);

export const report = (): string => taken.map(([what, ms]) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${what}\n`).join('');
