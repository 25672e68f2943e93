// Security keys: asks the browser for the key's answer and sends it with the form around it. Without script a code does the same.
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const create = async (options) => {
    const o = options.publicKey;
    const made = await navigator.credentials.create({ publicKey: { ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: known(o.excludeCredentials) } });
    const r = made.response;
    return { id: made.id, rawId: text(made.rawId), type: made.type, clientExtensionResults: made.getClientExtensionResults(),
      response: { clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject), transports: r.getTransports ? r.getTransports() : [] } };
  };
  const get = async (options) => {
    const o = options.publicKey;
    const found = await navigator.credentials.get({ publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: known(o.allowCredentials) } });
    const r = found.response;
    return { id: found.id, rawId: text(found.rawId), type: found.type, clientExtensionResults: found.getClientExtensionResults(),
      response: { clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature), userHandle: r.userHandle ? text(r.userHandle) : null } };
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const box = form.closest("[data-key-create], [data-key-get]");
    const field = box && form.elements.credential;
    if (!field || field.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const error = box.parentElement.querySelector("[data-key-error]");
    const say = (words) => { if (error) { error.textContent = words; error.hidden = false; } };
    if (!window.PublicKeyCredential) { say("This browser takes no security keys here. They want https, or localhost."); return; }
    const asked = box.dataset.keyCreate ? create(JSON.parse(box.dataset.keyCreate)) : get(JSON.parse(box.dataset.keyGet));
    asked.then((answer) => { field.value = JSON.stringify(answer); form.requestSubmit(); },
      (fault) => say(fault.name === "InvalidStateError" ? "This key is added already." : "No key answered. Touch it when it blinks, or try again."));
  }, true);
})();
