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
  constructor(most, width) {
    Object.assign(this, { width, drawn: new Uint16Array(most) }); // columns of each row
    this.uniforms = new Float64Array(most * width);
    this.values = new Float64Array(most * width);
  }

  // The numbers of another generator, in the same place: room for new ones would be garbage soon.
  restart(state) {
    this.twister = new Twister(state);
    this.rows = 0;
    this.drawn.fill(0);
    return this;
  }

  // The numbers; so many rows of them, and the first columns of these, are there.
  upTo(rows, columns = this.width) {
    const { uniforms, values, twister, width, drawn } = this;
    for (let i = this.rows * width; i < rows * width; i++) uniforms[i] = twister.uniform();
    this.rows = Math.max(this.rows, rows);
    for (let row = 0; row < rows; row++) {
      let k = drawn[row];
      for (; k < columns; k += 2) {
        const i = row * width + k;
        const radius = Math.sqrt(-2 * Math.log1p(-uniforms[i]));
        const angle = 2 * Math.PI * uniforms[i + 1];
        values[i] = radius * Math.cos(angle);
        values[i + 1] = radius * Math.sin(angle);
      }
      drawn[row] = k;
    }
    return values;
  }
}
