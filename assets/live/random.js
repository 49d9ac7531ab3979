// Random numbers that Python draws too: memnb.streams.portable_normals.

// The Mersenne twister MT19937 of Matsumoto and Nishimura (1998), as torch and NumPy have it.
export class Twister {
  constructor(state) {
    this.words = new Uint32Array(624);
    this.words[0] = state;
    for (let i = 1; i < 624; i++) {
      const before = this.words[i - 1];
      this.words[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
    this.at = 624;
  }

  // The next 624 words
  refill() {
    const { words } = this;
    for (let i = 0; i < 624; i++) {
      const mixed = (words[i] & 0x80000000) | (words[i < 623 ? i + 1 : 0] & 0x7fffffff);
      words[i] = words[i < 227 ? i + 397 : i - 227] ^ (mixed >>> 1) ^ (-(mixed & 1) & 0x9908b0df);
    }
    this.at = 0;
  }

  next() {
    if (this.at === 624) this.refill();
    let x = this.words[this.at];
    this.at += 1;
    x ^= x >>> 11;
    x ^= (x << 7) & 0x9d2c5680;
    x ^= (x << 15) & 0xefc60000;
    return (x ^ (x >>> 18)) >>> 0;
  }

  // From [0, 1), with 53 bits
  uniform() {
    const high = this.next() & 0x1fffff;
    return (high * 2 ** 32 + this.next()) / 2 ** 53;
  }
}

// Standard normal numbers in rows, by the method of Box and Muller (1958). Rows are drawn when they
// are first needed and stay the same, however many follow.
export class Normals {
  constructor(state, rows, width) {
    Object.assign(this, { width, rows: 0, twister: new Twister(state) });
    this.values = new Float64Array(rows * width);
  }

  upTo(rows) {
    const { values, twister, width } = this;
    for (let i = this.rows * width; i < rows * width; i += 2) {
      const radius = Math.sqrt(-2 * Math.log1p(-twister.uniform()));
      const angle = 2 * Math.PI * twister.uniform();
      values[i] = radius * Math.cos(angle);
      values[i + 1] = radius * Math.sin(angle);
    }
    this.rows = Math.max(this.rows, rows);
    return values;
  }
}
