import Foundation
import Testing

@testable import ForgeryMining
@testable import Reports

@Suite struct ExplanationPagesTests {
  private final class Folder {
    let path = NSTemporaryDirectory() + "rfm-pages-" + UUID().uuidString

    init() throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var pages: [String] {
      get throws {
        try FileManager.default.contentsOfDirectory(atPath: path).filter {
          $0.hasSuffix(".html")
        }.sorted()
      }
    }

    func text(_ name: String) throws -> String {
      try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
    }

    func isThere(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: "\(path)/\(name)")
    }
  }

  private static let subject = ExplanationPage.Subject(
    detector: "xception-tiny", source: "runs/<demo>/best", crop: 64, threshold: 0.5)

  /// Explains image `number`, whose pictures are there: empty files.
  private func explanation(
    _ number: Int, in folder: Folder, name: String? = nil,
    attributed: Explanation.Attributed? = nil
  ) throws -> Explanation {
    let drawn = PictureKind.allCases.map {
      Explanation.Drawn(
        kind: $0, path: ExplanationPictures.path("\(folder.path)/\(name ?? "face-\(number)")", $0))
    }
    for picture in drawn { try Data().write(to: URL(filePath: picture.path)) }
    return Explanation(
      path: "faces/\(name ?? "\(number)").png", logitReal: 0, logitFake: number % 3 == 0 ? 2 : -1,
      threshold: 0.5, attributed: attributed, pictures: drawn)
  }

  /// What the pages that are there claim: every link and picture leads to a file, and the first page
  /// counts the images that are on all of them, each once and in order.
  ///
  /// - Returns: images on the pages; nil without any page.
  private func checkClaims(_ folder: Folder) throws -> Int? {
    let pages = try folder.pages
    guard !pages.isEmpty else { return nil }
    #expect(pages.contains("index.html"))
    var numbers: [Int] = []
    for number in 1...pages.count {
      let name = number == 1 ? "index.html" : "page-\(number).html"
      let page = try Elements(bodyOf: folder.text(name))
      #expect(page.isWhole, "\(name)")
      for source in page.attributes("src") {
        #expect(folder.isThere(try #require(source.removingPercentEncoding)), "\(name): \(source)")
      }
      for link in page.attributes("href") where !link.hasPrefix("#") {
        #expect(folder.isThere(link), "\(name): \(link)")
      }
      let identifiers = page.attributes("id")
      for link in page.attributes("href") where link.hasPrefix("#") {
        #expect(identifiers.contains(String(link.dropFirst())), "\(name): \(link)")
      }
      #expect(Set(identifiers).count == identifiers.count, "\(name)")
      numbers += identifiers.compactMap { identifier in
        identifier.hasPrefix("image-") ? Int(identifier.dropFirst("image-".count)) : nil
      }
    }
    #expect(numbers == Array(1...numbers.count))
    // From the first page every other one can be reached, and from each its neighbours.
    let links = try pages.map { Set(try Elements(bodyOf: folder.text($0)).attributes("href")) }
    for (name, links) in zip(pages, links) where name == "index.html" {
      #expect(Set(pages).subtracting([name]).isSubset(of: links))
    }
    for number in 1..<pages.count {
      let (page, next) = (number == 1 ? "index.html" : "page-\(number).html", "page-\(number + 1)")
      #expect(links[pages.firstIndex(of: page)!].contains("\(next).html"))
      #expect(links[pages.firstIndex(of: "\(next).html")!].contains(page))
    }
    let first = try folder.text("index.html")
    let figure = /<dt>explained<\/dt><dd><strong>([0-9,]+)</
    let told = try #require(first.firstMatch(of: figure)).1.replacing(",", with: "")
    #expect(told == "\(numbers.count)")
    return numbers.count
  }

  @Test(arguments: [0, 1, 2, 3, 4, 6, 7, 12, 13]) func atAnyMomentPagesClaimNothingThatIsNotThere(
    count: Int
  ) throws {
    let folder = try Folder()
    let pages = ExplanationPages(in: folder.path, subject: Self.subject, inputs: 20, perPage: 3)
    for number in 1...max(1, count) {
      try pages.add(try explanation(number, in: folder))
      let seen = try checkClaims(folder)
      #expect(seen == (number < 3 ? nil : number / 3 * 3))
      if seen != nil { #expect(try folder.text("index.html").contains("Not complete")) }
    }
    var summary = ExplanationJob.Summary()
    summary.explained = max(1, count)
    summary.skipped = ["faces/<i>.txt: not an image"]
    summary.skippedKinds = ["no known format": 1]
    summary.notes = ["a & b"]
    try pages.finish(summary)
    #expect(try checkClaims(folder) == max(1, count))
    let first = try folder.text("index.html")
    #expect(!first.contains("Not complete"))
    #expect(first.contains("of 20 files") && first.contains("a &amp; b"))
    #expect(first.contains("<li>faces/&lt;i&gt;.txt: not an image</li>"))
    #expect(
      first.contains("<dt>called fake</dt><dd><strong>\(max(1, count) / 3)</strong>"))
    #expect(try folder.pages.count == (max(1, count) + 2) / 3)
  }

  /// Whatever names hold, it is text, and leads to the right file.
  @Test func namesOutOfDataStayNames() throws {
    let folder = try Folder()
    let methods = ["<script>alert(1)</script>", "a\u{202E}b & \"c\"", "\u{301}x"]
    var subject = Self.subject
    subject.attribution = (.centred, 0.9, "p & q.h5")
    subject.prototypes = methods.enumerated().map { index, method in
      PrototypeCard(
        method: method, count: 1, range: 0...1, file: "prototypes/\(index)?#%.png", width: 8,
        height: 8)
    }
    try FileManager.default.createDirectory(
      atPath: folder.path + "/prototypes", withIntermediateDirectories: true)
    for card in subject.prototypes {
      try Data().write(to: URL(filePath: "\(folder.path)/\(card.file)"))
    }
    let names = [
      "\"><img src=x onerror=alert(1)>", "%2e%2e", "a b#c?d", "javascript:alert(1)", "é\u{301}顔",
      "\u{202E}gnp", "' onload='x", "x\"\u{301}y",
    ]
    let pages = ExplanationPages(in: folder.path, subject: subject, inputs: names.count)
    for (number, name) in names.enumerated() {
      let attributed = Explanation.Attributed(
        similarities: methods.enumerated().map { index, method in
          .init(method: method, cosine: index == number % 3 ? 0.75 : 0.125)
        },
        kind: .centred, threshold: number % 2 == 0 ? 0.9 : nil)
      try pages.add(
        explanation(
          number, in: folder, name: name.replacing("/", with: "_"), attributed: attributed))
    }
    try pages.finish(ExplanationJob.Summary())
    #expect(try checkClaims(folder) == names.count)
    let page = try folder.text("index.html")
    #expect(!page.contains("<script>alert") && !page.contains("<img src=x"))
    #expect(!page.unicodeScalars.contains { $0.value == 0x202E })
    #expect(page.matches(of: /<script/).count == 1)
    let elements = try Elements(bodyOf: page)
    for element in elements.all {
      #expect(
        element.attributes.keys.allSatisfy { !$0.hasPrefix("on") }, "\(element.attributes)")
    }
    let sources = Set(elements.attributes("src").compactMap(\.removingPercentEncoding))
    for name in names {
      #expect(sources.contains(name.replacing("/", with: "_") + "-erased.png"), "\(name)")
    }
    for card in subject.prototypes { #expect(sources.contains(card.file)) }
    // Each image has its own method, cosines and verdict.
    let figures = page.matches(of: /(?s)<figure class="explained".*?<\/figure>/).map {
      Elements(String($0.0).replacing(/(<img [^>]*)>/) { "\($0.1)/>" })
    }
    #expect(figures.count == names.count)
    for (number, figure) in figures.enumerated() {
      #expect(figure.isWhole)
      let text = try #require(figure.all.first).text
      #expect(text.contains(number % 3 == 0 ? "0.8808" : "0.2689"), "\(text)")
      #expect(text.contains("cosine 0.750") && text.contains("0.125"))
      #expect(text.contains("perhaps an unknown method") == (number % 2 == 0))
      let best = figure.all.filter { $0.attributes["class"] == "best" }.map(\.text)
      #expect(best == ["\(HTML.unescaped(methods[number % 3])) 0.750"])
      let pictures = figure.all.filter { $0.name == "img" }
      #expect(pictures.count == 5)
      #expect(pictures.allSatisfy { $0.attributes["alt"]?.isEmpty == false })
      #expect(
        pictures.allSatisfy { $0.attributes["loading"] == "lazy" && $0.attributes["width"] != nil })
      #expect(
        pictures.last?.attributes["src"]?.removingPercentEncoding
          == subject.prototypes[number % 3].file)
    }
  }

  @Test func nothingIsFetchedButPicturesBesideThePage() throws {
    let folder = try Folder()
    let pages = ExplanationPages(in: folder.path, subject: Self.subject, inputs: 1)
    try pages.add(explanation(1, in: folder))
    try pages.finish(ExplanationJob.Summary())
    let page = try folder.text("index.html").replacing("&#39;", with: "'")
    #expect(page.contains("default-src 'none'; img-src 'self' file:; "))
    #expect(!page.replacing("http://www.w3.org/2000/svg", with: "").contains("://"))
    #expect(!page.contains("@import") && !page.contains("<link"))
  }

  /// Pictures that another host keeps for itself are not claimed.
  @Test func picturesThatAreNotInTheFolderAreNotShown() throws {
    let folder = try Folder()
    let pages = ExplanationPages(in: folder.path, subject: Self.subject, inputs: 2)
    let gone = try explanation(1, in: folder)
    try FileManager.default.removeItem(atPath: gone.pictures[4].path)
    try pages.add(gone)
    try pages.add(explanation(2, in: folder))
    try pages.finish(ExplanationJob.Summary())
    #expect(pages.withoutPictures == 1)
    #expect(try checkClaims(folder) == 2)
    let page = try folder.text("index.html")
    #expect(page.matches(of: /drawn on another host/).count == 1)
    #expect(page.ranges(of: "<img ").count == 4)
  }

  @Test func earlierPagesAreTakenAwayAndOthersLeft() throws {
    let folder = try Folder()
    for name in ["page-3.html", "notes.html", "page-x.html"] {
      try Data("<title>mine · rfm explain</title>".utf8).write(
        to: URL(filePath: "\(folder.path)/\(name)"))
    }
    let pages = ExplanationPages(in: folder.path, subject: Self.subject, inputs: 4, perPage: 2)
    for number in 1...4 { try pages.add(explanation(number, in: folder)) }
    try pages.finish(ExplanationJob.Summary())
    #expect(try folder.pages.count == 5)
    try ExplanationPages.removeAll(in: folder.path)
    #expect(try folder.pages == ["notes.html", "page-3.html", "page-x.html"])
  }

  /// As lines of output, and back on rank 0.
  @Test func anExplanationTravelsAsItsLine() throws {
    let folder = try Folder()
    for kind in AttributionKind.allCases {
      for threshold in [nil, 0.1 + 0.2] {
        let attributed = Explanation.Attributed(
          similarities: [
            .init(method: "\u{E9}", cosine: 1.0 / 3), .init(method: "e\u{301}", cosine: 2.0 / 3),
            .init(method: "b", cosine: 2.0 / 3),
          ],
          kind: kind, threshold: threshold)
        #expect(attributed.best == 1)
        var explanation = try explanation(3, in: folder, name: "x\"y", attributed: attributed)
        explanation.logitReal = 0.1
        #expect(Explanation(explanation.json) == explanation)
      }
    }
    #expect(Explanation(["path": "a"]) == nil)
    #expect(try Explanation(explanation(1, in: folder).json)?.attributed == nil)
  }
}

extension HTML {
  /// A text as a reader of the page sees it: what can't be seen is spelled out.
  fileprivate static func unescaped(_ text: String) -> String {
    escaped(text).replacing("&lt;", with: "<").replacing("&gt;", with: ">")
      .replacing("&quot;", with: "\"").replacing("&#39;", with: "'").replacing("&amp;", with: "&")
  }
}

extension ExplanationPages {
  /// Takes an image that was taken as it is.
  fileprivate func add(_ explanation: Explanation) throws {
    try add(FileExplanation(faces: [explanation]))
  }
}
