// Buttons of concepts put their word where the cursor is in the prompt.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-token]");
  const prompt = document.querySelector("#prompt textarea");
  if (!button || !prompt) return;
  const before = prompt.value.slice(0, prompt.selectionStart);
  const after = prompt.value.slice(prompt.selectionEnd);
  const gap = before && !before.endsWith(" ") ? " " : "";
  const word = gap + button.dataset.token;
  prompt.value = before + word + after;
  prompt.selectionStart = prompt.selectionEnd = before.length + word.length;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus();
});
