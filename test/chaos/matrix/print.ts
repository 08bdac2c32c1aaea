/** The matrix as a person reads it: a row a fault, a column a moment. */

export const renderMatrix = (
  corner: string,
  columns: readonly string[],
  rows: readonly { name: string; cells: string[] }[],
): string => {
  const table = [[corner, ...columns], ...rows.map(({ name, cells }) => [name, ...cells])];
  const widths = table[0]?.map((_cell, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '),
    )
    .join('\n');
};

export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
