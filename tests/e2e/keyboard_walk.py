"""Opens a page in a real browser, walks through it with the Tab key, and prints what was met. Run by itself."""

import json
import sys

from playwright.sync_api import sync_playwright

SEEN = """() => {
  const it = document.activeElement;
  const outline = getComputedStyle(it).outlineStyle;
  return it === document.body ? null : { tag: it.tagName, name: it.ariaLabel || it.labels?.[0]?.textContent
    || it.textContent.trim(), outline };
}"""


def walk(page):
    """What Tab reaches, until it comes back to the page itself."""
    found = []
    while len(found) < 50:
        page.keyboard.press("Tab")
        seen = page.evaluate(SEEN)
        if seen is None or seen in found:
            return found
        found.append(seen)
    return found


def main(url, typed):
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        errors = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        answer = page.goto(url, wait_until="networkidle")
        met = {"status": answer.status, "title": page.title(), "walk": walk(page)}
        page.focus("#colours")
        page.keyboard.press("Enter")
        page.reload(wait_until="networkidle")
        met["dark"] = page.evaluate("document.documentElement.dataset.colours")
        page.focus(".skip")
        page.keyboard.press("Enter")
        met["skipped_to"] = page.evaluate("document.activeElement.id")
        if typed:
            page.focus("#text")
            page.keyboard.type(typed)
            page.keyboard.press("Enter")
            page.wait_for_selector("#notes li")
            met["said"] = page.inner_text("#status")
            page.reload(wait_until="networkidle")
            met["kept"] = page.inner_text("#notes li span")
            met["tags"] = page.locator("#notes b").count()
        met["errors"] = errors
        browser.close()
    print(json.dumps(met))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
