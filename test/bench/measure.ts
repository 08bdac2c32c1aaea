/** What a measure is given and gives. */
import type { Figure } from './figure.ts';
import type { Scope } from './scope.ts';

interface Bench {
  scope: Scope;
  /** Shorter, for whoever changes the bench: its figures are coarse. */
  quick: boolean;
  say(line: string): void;
}

export interface Measure {
  /** As `--only` takes it. */
  name: string;
  about: string;
  run(bench: Bench): Promise<Figure[]>;
}
