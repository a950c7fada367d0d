import Foundations
import Images

/// The prototypes of manipulation methods as pictures: one a method, all in one, and a page that names
/// them.
public enum PrototypePictures {
  /// Writes `BASE-METHOD.png` for every prototype, `BASE.png` with all of them in rows of four, and
  /// `BASE.html`, which says whose they are; BASE is `path` without its extension (with
  /// it where that is `png` or `html`). Each prototype is
  /// drawn from its own smallest value to its largest. Of methods whose names would make the same file
  /// name all but the first get a `_` behind it.
  ///
  /// - Parameters:
  ///   - prototypes: float32 `[methods, height, width]`.
  ///   - methods: their names.
  ///   - counts: how many images each is the mean of; a method without images gets no picture.
  /// - Returns: the paths of the pictures written, that of all first.
  /// - Throws: ``ImageError`` if a picture can't be written, `FileError` if the page can't, or an error
  ///   that says what is in its way.
  @discardableResult
  public static func write(
    prototypes: [Float], methods: [String], counts: [Int], width: Int, height: Int,
    beside path: String, colors: ColorMap = .ember
  ) throws -> [String] {
    precondition(
      prototypes.count == methods.count * width * height && counts.count == methods.count,
      "expected \(methods.count) prototypes of \(width)×\(height)")
    // By bytes: a mark makes another character of a "/" or a ".".
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) }
    let name = path[(slash ?? path.startIndex)...]
    let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) ?? name.endIndex
    // What is called p.png or p.html itself keeps its place.
    let isBare = dot == name.startIndex || ["png", "html"].contains(name[dot...].dropFirst())
    let base = String(path[..<(isBare ? name.endIndex : dot)])
    let title = String(base[(slash ?? base.startIndex)...])
    let present = methods.indices.filter { counts[$0] > 0 }
    guard !present.isEmpty else { return [] }
    try PageFrame.check(base + ".html", for: .prototypes)
    var cards: [PrototypeCard] = []
    var pictures: [RGBImage] = []
    var written: [String] = []
    for (index, name) in zip(present, fileNames(of: present.map { methods[$0] })) {
      let map = Array(prototypes[index * width * height..<(index + 1) * width * height])
      let picture = render(map, width: width, height: height, colors: colors)
      let file = "\(base)-\(name).png"
      try PNGCodec.write(picture, to: file)
      pictures.append(picture)
      written.append(file)
      cards.append(
        PrototypeCard(
          method: methods[index], count: counts[index], range: Heatmap.range(of: map),
          file: "\(title)-\(name).png", width: picture.width, height: picture.height))
    }
    try PNGCodec.write(PictureGrid.render(pictures, columns: 4, gap: 16), to: base + ".png")
    try DurableFile.write(
      PrototypesPage.html(cards, title: title, colors: colors), to: base + ".html")
    return [base + ".png"] + written
  }

  /// Of each method a part of file names of its own.
  static func fileNames(of methods: [String]) -> [String] {
    var taken = Set<String>()
    return methods.map { method in
      var name = FileName.shortened(FileName.safe(method))
      while !taken.insert(FileName.key(name)).inserted { name += "_" }
      return name
    }
  }

  /// One prototype, enlarged smoothly to at least 224 pixels a side.
  public static func render(
    _ map: [Float], width: Int, height: Int, colors: ColorMap = .ember
  ) -> RGBImage {
    let factor = max(1, (223 + min(width, height)) / min(width, height))
    let large = Heatmap.resized(
      map, width: width, height: height, toWidth: width * factor, height: height * factor)
    return Heatmap.render(
      large, width: width * factor, height: height * factor, colors: colors,
      range: Heatmap.range(of: map))
  }
}
