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

// Standard normal numbers in rows, by the method of Box and Muller (1958): of two uniform numbers two
// normal ones. Rows are drawn when they are first needed, and of these the columns that are needed;
// numbers stay the same, whatever was asked for before.
export class Normals {
  constructor(state, most, width) {
    Object.assign(this, { most, width, rows: 0, room: 0, twister: new Twister(state) });
    this.uniforms = this.values = new Float64Array(0);
  }

  // Room for more rows; what was never drawn is not a number.
  grow(room) {
    for (const name of ["uniforms", "values"]) {
      const bigger = new Float64Array(room * this.width).fill(NaN);
      bigger.set(this[name]);
      this[name] = bigger;
    }
    this.room = room;
  }

  // Numbers of these rows are there in columns from begin (an even one) to end.
  upTo(rows, begin = 0, end = this.width) {
    if (rows > this.room) this.grow(Math.min(this.most, Math.max(rows, 2 * this.room)));
    const { uniforms, values, twister, width } = this;
    for (let i = this.rows * width; i < rows * width; i++) uniforms[i] = twister.uniform();
    this.rows = Math.max(this.rows, rows);
    for (let row = 0; row < rows; row++) {
      for (let i = row * width + begin; i < row * width + end; i += 2) {
        if (!Number.isNaN(values[i])) continue;
        const radius = Math.sqrt(-2 * Math.log1p(-uniforms[i]));
        const angle = 2 * Math.PI * uniforms[i + 1];
        values[i] = radius * Math.cos(angle);
        values[i + 1] = radius * Math.sin(angle);
      }
    }
    return values;
  }
}
