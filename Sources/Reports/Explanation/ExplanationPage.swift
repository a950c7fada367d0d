import ForgeryMining
import Networks

/// One page of explanations, with some of the images; the first also tells of all.
///
/// A pure function of its values.
struct ExplanationPage: Sendable {
  /// What explains, the same on every page.
  struct Subject: Sendable {
    var detector: String
    /// Where the detector came from.
    var source: String
    /// Height and width of its input.
    var crop: Int
    /// Whether it has class activation maps.
    var hasActivationMaps = true
    /// Images at least this likely to be fake are called fake.
    var threshold: Double
    /// Images less likely than this are called real; nil: all others are.
    var realThreshold: Double?
    /// Of its calibration; nil where it has none.
    var temperature: Double?
    /// How methods are named, with what; nil without prototypes.
    var attribution: (kind: AttributionKind, threshold: Double?, source: String)?
    /// Whether faces are looked for in pictures.
    var findsFaces = false
    /// Pictures of the prototypes, in their order.
    var prototypes: [PrototypeCard] = []
  }

  /// What the first page tells of all images.
  struct Overview: Sendable {
    /// Images and other files that were given.
    var inputs: Int
    /// Files on the pages.
    var explained: Int
    /// Verdicts on them, one an image taken as it is, a face of a photo or a video, and those of fake.
    var verdicts: Int
    var fakes: Int
    /// How the job ended; nil as long as it has not.
    var end: ExplanationJob.Summary?
  }

  var subject: Subject
  /// From 1.
  var number: Int
  /// Pages that are there by now; only to those are there links.
  var pages: Int
  var perPage: Int
  /// This page's images.
  var cards: [HTML]
  /// Of the first page.
  var overview: Overview?

  static func file(number: Int) -> String { number == 1 ? "index.html" : "page-\(number).html" }

  var html: String {
    PageFrame(
      kind: .explanations, title: number == 1 ? "Explanations" : "Explanations, page \(number)",
      pictures: .beside,
      header: "\(lead)\(overview.map(sections) ?? HTML.nothing)\(neighbours(label: "Pages"))",
      content: """
        \(overview.map(summary) ?? HTML.nothing)\(images)\(neighbours(label: "More pages"))\
        \(overview.map(allPages) ?? HTML.nothing)\(gallery)\
        \(overview.map(passedOver) ?? HTML.nothing)
        """
    ).html
  }

  // MARK: Parts

  private var lead: HTML {
    var text: HTML = """
      Detector <code>\(subject.detector)</code> from <code>\(subject.source)</code>, input \
      \(subject.crop) × \(subject.crop) pixels. An image is called fake from a probability of \
      \(FigureText.short(subject.threshold)) on\(between).
      """
    let calibrated: HTML? = subject.temperature.map {
      " Probabilities are calibrated (temperature \(FigureText.short($0)))."
    }
    text +=
      calibrated
      ?? " Probabilities are not calibrated: they order images, but 0.9 need not mean nine in ten."
    if let attribution = subject.attribution {
      text += """
         Methods are named by the \(attribution.kind.rawValue) cosine of the image's attention map \
        with each prototype of <code>\(attribution.source)</code>
        """
      if let threshold = attribution.threshold {
        text += "; below \(FigureText.ratio(threshold)) perhaps an unknown one"
      }
      text += "."
    }
    return "<p class=\"lead\">\(text)</p>\n"
  }

  private var between: String {
    subject.realThreshold.map { ", real below \(FigureText.short($0)), and unsure between" } ?? ""
  }

  private func sections(_ overview: Overview) -> HTML {
    var links: HTML = "<li><a href=\"#images\">Images</a></li>"
    if pages > 1 { links += "<li><a href=\"#pages\">Pages</a></li>" }
    if !subject.prototypes.isEmpty {
      links += "<li><a href=\"#prototypes\">Prototypes</a></li>"
    }
    if overview.end?.skipped.isEmpty == false {
      links += "<li><a href=\"#passed-over\">Passed over</a></li>"
    }
    return "<nav aria-label=\"Sections\"><ul>\(links)</ul></nav>\n"
  }

  /// Links to the first page, and to those before and after.
  private func neighbours(label: String) -> HTML {
    var links: [(page: Int, name: String)] = []
    if number > 2 { links.append((1, "First page")) }
    if number > 1 { links.append((number - 1, "Page before")) }
    if number < pages { links.append((number + 1, "Next page")) }
    guard !links.isEmpty else { return "" }
    let items: [HTML] = links.map {
      "<li><a href=\"\(Self.file(number: $0.page))\">\($0.name)</a></li>"
    }
    return "<nav class=\"pages\" aria-label=\"\(label)\"><ul>\(items)</ul></nav>\n"
  }

  /// Links to all pages, by the images on them.
  private func allPages(_ overview: Overview) -> HTML {
    guard pages > 1 else { return "" }
    let items: [HTML] = (1...pages).map { page in
      let images = Self.span((page - 1) * perPage + 1, min(page * perPage, overview.explained))
      return page == number
        ? "<li aria-current=\"page\">\(images)</li>"
        : "<li><a href=\"\(Self.file(number: page))\">\(images)</a></li>"
    }
    return """
      <section id="pages" aria-labelledby="pages-heading">
      <h2 id="pages-heading">Pages</h2>
      <nav class="pages" aria-label="All pages"><ul>\(items)</ul></nav>
      </section>

      """
  }

  private static func span(_ first: Int, _ last: Int) -> HTML {
    first == last
      ? "\(FigureText.count(first))" : "\(FigureText.count(first))–\(FigureText.count(last))"
  }

  private func summary(_ overview: Overview) -> HTML {
    func card(_ title: String, _ value: Int, _ note: String) -> HTML {
      """
      <div class="card"><dt>\(title)</dt><dd><strong>\(FigureText.count(value))</strong>\
      <span>\(note)</span></dd></div>

      """
    }
    var cards =
      card("explained", overview.explained, "of \(FigureText.count(overview.inputs, "file"))")
      + card(
        "called fake", overview.fakes,
        FigureText.percent(Double(overview.fakes) / Double(overview.verdicts)) + " of "
          + (overview.verdicts == overview.explained
            ? "these" : FigureText.count(overview.verdicts, "verdict")))
    var state = HTML.nothing
    if let end = overview.end {
      if !end.skipped.isEmpty { cards += card("passed over", end.skipped.count, end.kindsInWords) }
      for note in end.notes { state += "<p class=\"note\">\(note)</p>\n" }
    } else {
      state = """
        <p class="absent">Not complete: the job was at work when this was written, or was ended. \
        Images that came later are not here.</p>

        """
    }
    return """
      <section class="summary" aria-labelledby="summary-heading">
      <h2 id="summary-heading" class="hidden">Summary</h2>
      <dl class="cards">\(cards)</dl>
      \(state)</section>

      """
  }

  private var images: HTML {
    let start = (number - 1) * perPage
    let heading: HTML =
      pages == 1 && overview != nil
      ? "Images" : "Images \(Self.span(start + 1, start + cards.count))"
    let prototype = subject.prototypes.isEmpty ? "" : ", and the prototype of the likeliest method"
    let faces: HTML =
      subject.findsFaces
      ? """
       Faces are numbered from 0, the largest first, as on the lines of output; a dashed box is that of \
      one that is called real.
      """ : ""
    let cam =
      subject.hasActivationMaps
      ? " CAM, where its features speak for fake rather than for real;" : ""
    return """
      <section id="images" aria-labelledby="images-heading">
      <h2 id="images-heading">\(heading)</h2>
      <p>What the detector saw; FAM, where its decision is sensitive;\(cam) what SFE would leave\(prototype).\(faces)</p>
      \(ScaleBar.html(
        .ember, low: "lowest", high: "highest of each map", identifier: "ramp-images"))\
      <div class="explanations">\(cards)</div>
      </section>

      """
  }

  private var gallery: HTML {
    guard overview != nil, !subject.prototypes.isEmpty else { return "" }
    return """
      <section id="prototypes" aria-labelledby="prototypes-heading">
      <h2 id="prototypes-heading">Prototypes</h2>
      <p>The mean normalised Forgery Attention Map of the fakes of each method.</p>
      \(PrototypeCard.gallery(subject.prototypes, colors: .ember))</section>

      """
  }

  private func passedOver(_ overview: Overview) -> HTML {
    guard let skipped = overview.end?.skipped, !skipped.isEmpty else { return "" }
    let shown: [HTML] = skipped.prefix(ExplanationPages.skippedLimit).map { "<li>\($0)</li>\n" }
    let rest = skipped.count - shown.count
    let more: HTML = rest > 0 ? "<p class=\"note\">And \(FigureText.count(rest)) more.</p>\n" : ""
    return """
      <section id="passed-over" aria-labelledby="passed-over-heading">
      <h2 id="passed-over-heading">Passed over</h2>
      <ul class="reasons">\(shown)</ul>
      \(more)</section>

      """
  }
}
