/// The report of a run as one HTML page that needs nothing else: no other file, no network.
///
/// A pure function of ``ReportContents``: the same contents give the same bytes.
public struct ReportPage: Sendable {
  let contents: ReportContents

  public init(_ contents: ReportContents) { self.contents = contents }

  /// The page, UTF-8.
  ///
  /// - Throws: `ImageError` if a picture can't be encoded.
  public func html() throws -> String {
    let sections = try [
      training, detection, localisation, prototypes, attribution, examples, configuration,
      environment,
    ].map { try $0() }
    let links: [HTML] = sections.map { "<li><a href=\"#\($0.identifier)\">\($0.title)</a></li>" }
    let bodies: [HTML] = sections.map { section in
      """
      <section id="\(section.identifier)" aria-labelledby="\(section.identifier)-heading">
      <h2 id="\(section.identifier)-heading">\(section.title)</h2>
      \(section.body)</section>

      """
    }
    return PageFrame(
      kind: .report, title: contents.name, pictures: .inside,
      header: "\(lead)\n<nav aria-label=\"Sections\"><ul>\(links)</ul></nav>",
      content: "\(summary)\n\(bodies)"
    ).html
  }

  /// A section of the page.
  struct Section: Sendable {
    /// Unique in the page; links lead to it.
    var identifier: String
    var title: String
    var body: HTML
  }

  /// Why a part is not there.
  func absence(_ part: ReportContents.Part, otherwise reason: String) -> HTML {
    "<p class=\"absent\">\(contents.missing[part] ?? reason)</p>\n"
  }

  /// Why a part that needs images is not there.
  func absence(_ part: ReportContents.Part, ofImages reason: String) -> HTML {
    absence(part, otherwise: contents.evaluation == nil ? "No images were evaluated." : reason)
  }

  /// What is to be said of a part that is there.
  func remark(_ part: ReportContents.Part) -> HTML {
    contents.missing[part].map { "<p class=\"note\">\($0)</p>\n" } ?? ""
  }
}

/// Tables of figures.
struct FigureTable: Sendable {
  var caption: HTML
  var columns: [HTML]
  /// The first cell of a row is its heading.
  var rows: [[HTML]]
  /// Rows set apart at the top, such as that of all methods together.
  var leading = 0

  func html() -> HTML {
    let heads: [HTML] = columns.map { "<th scope=\"col\">\($0)</th>" }
    let lines: [HTML] = rows.enumerated().map { index, row in
      let rest: [HTML] = row.dropFirst().map { "<td>\($0)</td>" }
      let kind: HTML = index < leading ? " class=\"total\"" : ""
      return "<tr\(kind)><th scope=\"row\">\(row[0])</th>\(rest)</tr>\n"
    }
    return """
      <div class="scroll" role="region" tabindex="0" aria-label="Table"><table class="figures">\
      <caption><span>\(caption)</span></caption>
      <thead><tr>\(heads)</tr></thead>
      <tbody>\(lines)</tbody></table></div>

      """
  }
}
