// A page that is opened from a folder may start no worker, and the search runs in one. Here it runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inner = frame.contentWindow;
      // What the worker's script calls for its own messages and its further scripts.
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inner.importScripts = (...urls) => Promise.all(urls.map((one) => load(inner, one)));
      this.inner = inner;
      this.loaded = load(inner, url);
    }
    postMessage(data) {
      this.loaded.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }
    set onmessage(listener) {
      this.addEventListener("message", listener);
    }
    terminate() {
      this.inner.frameElement.remove();
    }
  };
  const load = (inner, url) =>
    new Promise((done, failed) => {
      const script = inner.document.createElement("script");
      Object.assign(script, { src: url, onload: done, onerror: failed });
      inner.document.body.append(script);
    });
}
