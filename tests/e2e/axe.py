"""axe-core, asked about a page."""

from playwright.sync_api import Page


def violations(page: Page, axe: str) -> list[str]:
    """Each broken rule with the elements that break it."""
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary')}"
        for rule in found
        for node in rule["nodes"]
    ]
