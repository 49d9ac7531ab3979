// A live explorer: its controls, its state, and the view that draws it.
import { Basins } from "./basins.js";
import { Counts } from "./counts.js";
import { Plane } from "./plane.js";
import { Spectrum } from "./spectrum.js";
import { nearest, word } from "./stage.js";
import { TwoFlows } from "./two.js";

const VIEWS = { basins: Basins, counts: Counts, plane: Plane, spectrum: Spectrum, two: TwoFlows };
const PLAY = 9000; // milliseconds from one end to the other
const SILENCE = 500; // before the state is read out
const REST = 900; // between the stops of an animation for those who want no motion
const SETTLED = 150; // after the last move, before a rough picture is drawn in full

const make = (tag, parent, text = "", name = "") => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  if (name) element.className = name;
  return element;
};

// Numbers, words and lists of points, as text in the address of the page.
const write = (value) => (Array.isArray(value)
  ? value.map((p) => p.map((x) => Number(x.toFixed(4))).join(",")).join(";")
  : String(value));

// From such a text; what makes no sense stays at the start.
function read(text, control, start) {
  const { number, choice } = memnb.address;
  if (!control) {
    const points = text.split(";").map((p) => p.split(",").map((x) => number(x, -10, 10, NaN)));
    const fits = points.length === start.length
      && points.every((p) => p.length === start[0].length && !p.some(Number.isNaN));
    return fits ? points : start;
  }
  if (control.values) return choice(text, control.values, start);
  return nearest(control, number(text, control.low, control.high, start));
}

// A logarithmic slider keeps zero: its places are log(1 + value).
const place = (control, value) => (control.log ? Math.log1p(value) : value);
const value = (control, at) => nearest(control, control.log ? Math.expm1(at) : at);

let mounted = 0;

export function mount(box, spec) {
  mounted += 1;
  const group = `memnb-live-${mounted}`;
  const controls = spec.controls;
  const first = { ...spec.state };
  for (const control of controls) first[control.name] = control.start;
  let state = { ...first };
  box.querySelector(".memnb-live-first")?.remove(); // the picture for those without this script
  const inner = make("div", box, "", `memnb-live-inner${spec.compact ? " memnb-live-compact" : ""}`);
  make("p", inner, spec.title, "memnb-live-title");
  const panel = make("div", inner, "", "memnb-live-controls");
  const buttons = make("div", inner, "", "memnb-live-buttons");
  const setters = controls.map((control) => (control.values ? choice : slider)(panel, control));
  let frame = 0; // that is asked for, with which `late` is drawn
  let late = false;
  let running = 0;
  let saying = 0;
  let moving = false;
  let settling = 0;

  const status = document.createElement("p");
  status.className = "memnb-live-status";
  status.setAttribute("role", "status");
  const note = document.createElement("p");
  note.className = "memnb-live-note";

  const view = new VIEWS[spec.view](inner, { ...spec, ...spec.given }, update);
  inner.append(note, status);
  new ResizeObserver(fit).observe(inner);

  // The explorer has a height that is set, and only at rest: else the page below it would move when
  // a line of words comes or goes, and the browser would lay all of the page out for each word.
  function fit() {
    if (moving) return;
    box.style.height = `${inner.getBoundingClientRect().height}px`;
    box.classList.add("memnb-live-held");
  }

  function show() {
    late = false;
    const said = view.draw(state, moving);
    word(note, said.note);
    clearTimeout(saying); // after the first frame not at each
    const tell = () => {
      word(status, said.status);
      box.setAttribute("aria-label", `${spec.title}. ${said.status}`);
    };
    if (box.dataset.drawn) saying = setTimeout(tell, SILENCE);
    else tell();
    controls.forEach((control, k) => setters[k](state[control.name]));
    box.toggleAttribute("data-rough", moving);
    fit();
    box.dataset.drawn = String(Number(box.dataset.drawn || 0) + 1);
  }

  // While something moves, a view may draw less, and does what is left out when it rests. What moves
  // is drawn at once, not when the next frame begins, which would then be late; but once a frame.
  function update(change, moves = false) {
    state = { ...state, ...change };
    moving = moves;
    clearTimeout(settling);
    late = !moving || Boolean(frame);
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (late) show();
      if (moving) settling = setTimeout(() => update({}), SETTLED); // from the end of a frame
    });
    if (!late) show();
  }

  function slider(parent, control) {
    const label = make("label", parent);
    make("span", label, control.label);
    const output = make("output", label);
    const input = make("input", label);
    const ends = [place(control, control.low), place(control, control.high)];
    Object.assign(input, { type: "range", name: control.name, min: ends[0], max: ends[1] });
    // A step that were rounded up would not reach the end in 400.
    input.step = control.log ? Math.floor(1e9 * (ends[1] - ends[0]) / 400) / 1e9 : control.step;
    input.addEventListener("input", () => {
      stop();
      update({ [control.name]: value(control, Number(input.value)) }, true);
    });
    input.addEventListener("change", () => update({})); // let go
    let told = null;
    return (now) => {
      if (told === now) return;
      told = now;
      if (Math.abs(value(control, Number(input.value)) - now) > 1e-12) {
        input.value = place(control, now);
      }
      word(output, String(now));
      input.setAttribute("aria-valuetext", `${now}`);
    };
  }

  function choice(parent, control) {
    const field = make("fieldset", parent);
    make("legend", field, control.label);
    const name = `${group}-${control.name}`;
    const inputs = control.values.map((option) => {
      const label = make("label", field);
      const input = make("input", label);
      Object.assign(input, { type: "radio", name, value: option });
      make("span", label, option);
      input.addEventListener("change", () => update({ [control.name]: option }));
      return input;
    });
    return (now) => inputs.forEach((input) => { input.checked = input.value === now; });
  }

  const button = (text, act) => {
    const element = make("button", buttons, text);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  };

  function stop() {
    cancelAnimationFrame(running);
    clearTimeout(running);
    running = 0;
    if (play) word(play, "Play");
  }

  const played = controls.find((control) => control.name === spec.play);
  const play = played && button("Play", () => {
    if (running) {
      stop();
      return;
    }
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const ends = [place(played, played.low), place(played, played.high)];
    let share = state[played.name] >= played.high ? 0
      : (place(played, state[played.name]) - ends[0]) / (ends[1] - ends[0]);
    let before = null;
    word(play, "Pause");
    const tick = (time) => {
      share = Math.min(1, share + (still ? 0.1 : (before === null ? 0 : time - before) / PLAY));
      before = time;
      update({ [played.name]: value(played, ends[0] + share * (ends[1] - ends[0])) }, share < 1);
      if (share >= 1) stop();
      else running = still ? setTimeout(tick, REST) : requestAnimationFrame(tick);
    };
    running = still ? setTimeout(tick, 0) : requestAnimationFrame(tick);
  });

  button("Reset", () => {
    stop();
    update(first);
  });

  // The address of the page; JupyterLab's is not ours.
  if (spec.id && globalThis.memnb) {
    memnb.address.button(buttons, spec.id, () => Object.fromEntries(Object.keys(first)
      .filter((key) => write(state[key]) !== write(first[key]))
      .map((key) => [key, write(state[key])])));
    memnb.address.follow(spec.id, box, (values) => {
      stop();
      const restored = {};
      for (const key of Object.keys(first)) {
        const control = controls.find((c) => c.name === key);
        restored[key] = values.has(key) ? read(values.get(key), control, first[key]) : first[key];
      }
      update(restored);
    });
  }
  addEventListener("beforeprint", () => { // whole, in the light colors that the page has then
    moving = false;
    clearTimeout(settling);
    show();
  });
  addEventListener("afterprint", show);
  new MutationObserver(() => update({})).observe(document.documentElement, {
    attributes: true, attributeFilter: ["data-theme"],
  });
  update({});

  // The first moves would take far longer than those that follow, as the browser compiles what has
  // run often. So some are drawn when nothing else is to do, and over them what is shown.
  const trials = controls.filter((control) => !control.values).flatMap((control) =>
    [0.3, 0.6, 0.9].map((share) => {
      const [low, high] = [place(control, control.low), place(control, control.high)];
      return { [control.name]: value(control, low + share * (high - low)) };
    }));
  trials.unshift(...view.trials || []);
  const idle = globalThis.requestIdleCallback || (() => {});
  let batches = 4; // on a slow machine not all of them
  const warm = (deadline) => {
    if (moving || !box.clientWidth) return;
    if (!frame && deadline.timeRemaining() > 20) {
      batches -= 1;
      // Room for the last of them, and for what is shown
      while (trials.length && deadline.timeRemaining() > 12) {
        view.draw({ ...state, ...trials.shift() }, true);
      }
      view.draw(state);
    }
    if (trials.length && batches) idle(warm);
  };
  idle(warm);
}

// On the website: every live explorer of the page.
export function start() {
  for (const box of document.querySelectorAll(".memnb-live")) {
    mount(box, JSON.parse(box.querySelector("script").textContent));
  }
}
