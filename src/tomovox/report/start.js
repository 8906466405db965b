// What happens when the page is opened, and when its address names a sample?

const PREFIX = "#sample/";
const NARROW = "(max-width: 900px)";

function wantedId() {
  if (!location.hash.startsWith(PREFIX)) return null;
  try {
    return decodeURIComponent(location.hash.slice(PREFIX.length));
  } catch {
    return null; // an address cut within a letter
  }
}

async function start() {
  const content = await unpacked("content");
  new Scores(content, find("#scores"));
  const samples = new Samples(content, find("#samples"));
  await samples.render();
  const go = (by) => {
    location.hash = `sample/${encodeURIComponent(samples.next(by))}`;
  };
  const opened = new Opened(content, find(".opened"), go);
  samples.changed = () => opened.between(samples.next(-1) !== null, samples.next(1) !== null);

  async function open() {
    const id = wantedId();
    const place = id === null ? -1 : samples.place(id);
    if (place < 0 || place === samples.open) return;
    await samples.choose(place);
    const sample = await samples.sample(place);
    if (samples.open !== place) return;
    const stepped = find(".opened").contains(document.activeElement);
    const drawn = opened.show(place, sample);
    samples.changed();
    const narrow = matchMedia(NARROW).matches;
    if (narrow) find(".opened").scrollIntoView();
    if (stepped || narrow) find("#opened-head").focus({ preventScroll: true });
    await drawn;
  }

  window.addEventListener("hashchange", () => open().catch(fail));
  await open();
  document.documentElement.dataset.ready = "true";
}

function fail(error) {
  const told = find("#failure");
  told.hidden = false;
  told.textContent = `This page is damaged or the browser too old (${error}); write it again.`;
}

start().catch(fail);
