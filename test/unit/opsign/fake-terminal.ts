/** A person at a terminal: gives the answers in turn, and what was shown and asked is kept. */
import type { Terminal } from '#opsign/terminal';

export const fakeTerminal = (...answers: string[]) => {
  const screen: string[] = [];
  const asked: { question: string; shown: boolean }[] = [];
  const terminal: Terminal = {
    say: (line) => void screen.push(line),
    ask: async (question, { shown }) => {
      asked.push({ question, shown });
      const answer = answers.shift();
      if (answer === undefined) throw new Error('asked once too often');
      return answer;
    },
    close: () => void screen.push('(closed)'),
  };
  return { terminal, screen, asked, left: answers };
};
