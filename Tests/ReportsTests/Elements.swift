import Foundation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The elements of a piece of XML, in their order.
final class Elements: NSObject, XMLParserDelegate {
  struct Element {
    var name: String
    var attributes: [String: String]
    var text = ""
  }
  private(set) var all: [Element] = []
  private var open: [Int] = []
  private(set) var isWhole = false

  init(_ xml: String) {
    super.init()
    let parser = XMLParser(data: Data(xml.utf8))
    parser.delegate = self
    isWhole = parser.parse()
  }

  /// Those of a page's body, once void elements are closed and without its script.
  convenience init(bodyOf page: String) throws {
    let start = try #require(page.firstRange(of: "<body>")?.lowerBound)
    let end = try #require(page.firstRange(of: "</body>")?.upperBound)
    let markup = page[start..<end].replacing(/<script>(?s).*?<\/script>/, with: "")
      .replacing(/(<img [^>]*)>/) { "\($0.1)/>" }
      .replacing(" hidden>", with: " hidden=\"\">")
    self.init(String(markup))
  }

  /// What one attribute says wherever it is.
  func attributes(_ name: String) -> [String] { all.compactMap { $0.attributes[name] } }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    open.append(all.count)
    all.append(Element(name: name, attributes: attributes))
  }

  func parser(_ parser: XMLParser, foundCharacters text: String) {
    for index in open { all[index].text += text }
  }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?,
    qualifiedName: String?
  ) { open.removeLast() }
}
