import ForgeryMining

/// The pictures of prototypes with what they are, as a page beside them.
enum PrototypesPage {
  static func html(_ cards: [PrototypeCard], title: String, colors: ColorMap) -> String {
    PageFrame(
      kind: .prototypes, title: title, pictures: .beside,
      header: """
        <p class="lead">The mean normalised Forgery Attention Map of the fakes of each method: what \
        the detector takes for that method's trace.</p>
        """,
      content: """
        <section aria-labelledby="prototypes-heading">
        <h2 id="prototypes-heading">Prototypes</h2>
        \(PrototypeCard.gallery(cards, colors: colors))</section>

        """
    ).html
  }
}

/// A prototype in a picture beside a page.
struct PrototypeCard: Sendable, Equatable {
  var method: String
  /// Images that it is the mean of.
  var count: Int
  /// Its lowest and highest value, which have the ends of the colours.
  var range: ClosedRange<Float>
  /// The picture's file, from where the page is.
  var file: String
  /// The picture's size in pixels.
  var width: Int
  var height: Int

  /// The picture alone.
  ///
  /// - Parameter text: what is seen, for those who can't see it.
  func picture(text: String) -> HTML { Picture.html(file: file, width, height, text: text) }

  /// All of them, under the scale of their colours.
  static func gallery(_ cards: [PrototypeCard], colors: ColorMap) -> HTML {
    let figures: [HTML] = cards.map { card in
      """
      <figure class="prototype"><figcaption><h3>\(HTML.name(card.method))</h3><p>mean of \
      \(FigureText.count(card.count, "image")), values \
      \(FigureText.ratio(Double(card.range.lowerBound))) to \
      \(FigureText.ratio(Double(card.range.upperBound)))</p></figcaption>
      <div class="pictures"><div>\(card.picture(text: "Prototype of \(card.method) as a heatmap"))\
      </div></div></figure>

      """
    }
    return """
      \(ScaleBar.html(
        colors, low: "lowest", high: "highest of each map", identifier: "ramp-prototypes"))\
      <div class="gallery single">\(figures)</div>

      """
  }
}
