// Small dense linear algebra on plain arrays.

export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export const minus = (a, b) => a.map((x, i) => x - b[i]);
export const norm = (a) => Math.hypot(...a);

// Eigenvalues and unit eigenvectors (rows) of a symmetric matrix, by Jacobi rotations.
export function eigh(matrix) {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const q = a.map((_, i) => a.map((_, j) => Number(i === j)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    let size = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        size += a[i][j] ** 2;
        if (i !== j) off += a[i][j] ** 2;
      }
    }
    if (off <= 1e-36 * size) break;
    for (let i = 0; i < n - 1; i++) {
      for (let j = i + 1; j < n; j++) {
        if (a[i][j] === 0) continue;
        const theta = (a[j][j] - a[i][i]) / (2 * a[i][j]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        const s = t * c;
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k][i], a[k][j]];
          a[k][i] = c * x - s * y;
          a[k][j] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[i][k], a[j][k]];
          a[i][k] = c * x - s * y;
          a[j][k] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [q[i][k], q[j][k]];
          q[i][k] = c * x - s * y;
          q[j][k] = s * x + c * y;
        }
      }
    }
  }
  return { values: a.map((row, i) => row[i]), vectors: q };
}
