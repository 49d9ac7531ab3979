// Two flows from the same starts in many dimensions, in their first two coordinates.
import { keeper } from "./chart.js";
import { held } from "./counts.js";
import { Stage } from "./stage.js";
import { tell } from "./plane.js";
import { Normals } from "./random.js";
import { ramp, scoreFlowCoordinate } from "./flows.js";
import { CLASSES, classifyCoordinates } from "./sets.js";

const SPREAD = 0.06; // of points in the picture, most of which would lie on four corners
const TURNS = 8; // in which the classes are drawn, so that none hides the others
const SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]];

// Coordinate z of score flow (0) or probability flow (1) when a share of the noise is left; edges
// have length 1.
export const moved = (which, z, rho, share) => (which
  ? share * z + (1 - share) * ramp(z, 0, 1, 1, rho)
  : scoreFlowCoordinate(z, 1, rho, -Math.log(share)));

export class TwoFlows {
  constructor(box, spec, change) {
    Object.assign(this, { spec, keep: keeper(), normals: new Normals(spec.width, spec.most) });
    this.area = box.appendChild(document.createElement("div"));
    this.area.className = "memnb-live-panels memnb-live-pair";
    this.panels = ["score flow", "probability flow"].map((title) =>
      new Stage(this.area, title, spec.window, () => this.last && change({})));
  }

  draw(state, rough) {
    this.last = state;
    const { N, rho, gone, threshold, n, seed } = state;
    const { states, most } = this.spec;
    const K = N - 1;
    const d = Math.max(state.d, K);
    // One coordinate of all starts after another; first, how far they are scattered in the picture
    const normals = this.keep("normals", seed, () => this.normals.restart(states[seed]));
    const share = 1 - gone;
    const last = share > 0 ? d : K; // so many coordinates have not come to zero
    const values = normals.upTo(last + 2, n);
    const number = (k, i) => values[(k + 2) * most + i];
    // Distances from the span of the data
    const off = this.keep("off", [seed, K, last, n].join(), () => {
      const squares = new Float64Array(n);
      for (let k = K; k < last; k++) for (let i = 0; i < n; i++) squares[i] += number(k, i) ** 2;
      return squares.map(Math.sqrt);
    });
    const lengths = new Float64Array(K).fill(1);
    const ink = getComputedStyle(this.area).color;
    const z = new Float64Array(K);
    const lines = this.panels.map((panel, which) => {
      const places = CLASSES.map(() => []);
      const labels = Array.from({ length: n }, (_, i) => {
        for (let k = 0; k < K; k++) z[k] = moved(which, number(k, i), rho, share);
        const label = classifyCoordinates(z, lengths, share * off[i], threshold);
        const spread = SPREAD * gone;
        places[label].push([z[0] + spread * number(-2, i), z[1] + spread * number(-1, i)]);
        return label;
      });
      panel.begin(ink);
      panel.axes(ink);
      panel.stroke(ink, 1, [SQUARE], 0.6);
      // From the last class to the first, and of few points all in the last turns
      for (let turn = TURNS; turn--;) {
        for (let c = places.length; c--;) {
          panel[rough ? "stamp" : "marks"](places[c].filter((_, i) => i % TURNS === turn), c, 3.5);
        }
      }
      panel.lay();
      return tell(panel, labels, gone === 1 ? "ends with" : "has", this.spec.alt);
    });
    return { status: lines.join(" "), note: held(state).trim() };
  }
}
