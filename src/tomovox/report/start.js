// What happens when the page is opened, and when its address names a sample?

const NARROW = "(max-width: 900px)";

// Return the place that the address names among so many samples; null for another address.
function wanted(total) {
  const named = location.hash.startsWith(PREFIX) ? location.hash.slice(PREFIX.length) : "";
  return /^\d+$/.test(named) && Number(named) < total ? Number(named) : null;
}

async function start() {
  const content = await unpacked("content");
  new Scores(content, find("#scores"));
  const samples = new Samples(content, find("#samples"));
  await samples.render();
  const go = (by) => {
    location.hash = `${PREFIX}${samples.next(by)}`;
  };
  const opened = new Opened(content, find(".opened"), go);
  samples.changed = () => opened.between(samples.next(-1) !== null, samples.next(1) !== null);

  async function open() {
    const place = wanted(content.samples.id.length);
    if (place === null || place === samples.open) return;
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
