import Configuration
import Foundation
import Foundations

/// What every page has around its content: head, style sheet, heading, footer and the one script.
struct PageFrame: Sendable {
  /// What the page is. Shown above its heading, and what ``check(_:for:)`` knows its own kind by.
  enum Kind: String, Sendable {
    case report = "rfm report"
    case explanations = "rfm explain"
    case prototypes = "rfm prototypes"
  }

  /// Where the page's pictures are.
  enum Pictures: Sendable {
    /// In the page itself, as `data:` addresses.
    case inside
    /// In files beside it.
    case beside
  }

  var kind: Kind
  /// What the page is about.
  var title: String
  var pictures: Pictures
  /// What follows the heading.
  var header: HTML
  var content: HTML

  /// The page, UTF-8.
  var html: String {
    let footing =
      switch pictures {
      case .inside: "The page is complete in itself: it fetches nothing."
      case .beside: "Its pictures lie beside it; it fetches nothing else."
      }
    let page: HTML = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta http-equiv="Content-Security-Policy" content="\(PageScript.policy(pictures))">
      <meta name="color-scheme" content="light dark">
      \(Self.generator)\(RunVersions.rfm)">
      <title>\(title)\(Self.titleEnd(kind))
      <style>\(HTML(markup: StyleSheet.css))</style>
      </head>
      <body>
      <a class="skip" href="#content">Skip to the content</a>
      <header>
      <p class="kicker"><span>\(kind.rawValue)</span>\
      <button type="button" id="theme" hidden>Dark</button></p>
      <h1>\(HTML.name(title))</h1>
      \(header)
      </header>
      <main id="content">
      \(content)</main>
      <footer><p>Written by rfm \(RunVersions.rfm). \(footing)</p></footer>
      <script>\(HTML(markup: PageScript.source))</script>
      </body>
      </html>

      """
    return page.markup
  }

  private static let generator: HTML = "<meta name=\"generator\" content=\"rfm "

  private static func titleEnd(_ kind: Kind) -> HTML { " · \(kind.rawValue)</title>" }

  /// A page would take the place of a file that is none of its kind.
  struct InTheWay: ReportableError {
    let path: String
    let kind: Kind
    var description: String {
      "\(path): is no page of \(kind.rawValue), which would replace it; give another --output"
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// Makes sure that a page can be written at `path`: there is nothing, or an earlier page of its kind.
  ///
  /// - Throws: ``InTheWay``.
  static func check(_ path: String, for kind: Kind) throws {
    guard isThere(path), !isPage(at: path, of: kind) else { return }
    throw InTheWay(path: path, kind: kind)
  }

  /// Whether a file is a page of this kind, by its head.
  static func isPage(at path: String, of kind: Kind) -> Bool {
    // The longest title, a file's name with every character escaped, takes a fraction of this.
    var head = [UInt8](repeating: 0, count: 8192)
    let count = head.withUnsafeMutableBytes { bytes in
      (try? FileReader(opening: path).read(into: bytes, at: 0)) ?? 0
    }
    let text = String(decoding: head[..<count], as: UTF8.self)
    return text.contains(generator.markup) && text.contains(titleEnd(kind).markup)
  }

  private static func isThere(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }
}
