import Images

/// The prototypes of manipulation methods as pictures: one a method, and all on one sheet.
public enum PrototypePictures {
  /// Writes `BASE-METHOD.png` for every prototype and `BASE.png`, the sheet, where BASE is `path`
  /// without its extension. Each prototype is drawn from its own smallest value to its largest. Of
  /// methods whose names would make the same file name all but the first get a `_` behind it.
  ///
  /// - Parameters:
  ///   - prototypes: float32 `[methods, height, width]`.
  ///   - methods: their names.
  ///   - counts: how many images each is the mean of; a method without images gets no picture.
  /// - Returns: the paths written, the sheet first.
  /// - Throws: ``ImageError`` if a file can't be written.
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
    let base = String(path[..<(dot == name.startIndex ? name.endIndex : dot)])
    var cells: [(label: String, picture: RGBImage)] = []
    var written: [String] = []
    var taken = Set<String>()
    for (index, method) in methods.enumerated() where counts[index] > 0 {
      let map = Array(prototypes[index * width * height..<(index + 1) * width * height])
      let picture = render(map, width: width, height: height, colors: colors)
      var name = FileName.shortened(FileName.safe(method))
      while !taken.insert(FileName.key(name)).inserted { name += "_" }
      let file = "\(base)-\(name)"
      try PNGCodec.write(picture, to: file + ".png")
      written.append(file + ".png")
      cells.append(("\(method)  n = \(counts[index])", picture))
    }
    guard !cells.isEmpty else { return [] }
    try PNGCodec.write(sheet(cells, colors: colors), to: base + ".png")
    return [base + ".png"] + written
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

  /// Labelled pictures of one size in rows of up to four, with the scale below.
  public static func sheet(
    _ cells: [(label: String, picture: RGBImage)], columns: Int = 4, colors: ColorMap = .ember,
    scaleEnds: (low: String, high: String) = ("lowest", "highest")
  ) -> RGBImage {
    precondition(!cells.isEmpty, "a sheet needs at least one picture")
    let (margin, label, foot) = (16, 26, 34)
    let columns = min(columns, cells.count)
    let rows = (cells.count + columns - 1) / columns
    let (cellWidth, cellHeight) = (cells[0].picture.width, cells[0].picture.height)
    var sheet = Sheet(
      width: margin + columns * (cellWidth + margin),
      height: margin + rows * (cellHeight + label + margin / 2) + foot)
    for (index, cell) in cells.enumerated() {
      let x = margin + index % columns * (cellWidth + margin)
      let y = margin + index / columns * (cellHeight + label + margin / 2)
      sheet.write(Sheet.fitting(cell.label, width: cellWidth), x: x, y: y + 12)
      sheet.put(cell.picture, x: x, y: y + label - 6)
    }
    let baseline = sheet.image.height - 14
    sheet.write(scaleEnds.low, x: margin, y: baseline, capital: 8)
    let from = margin + Sheet.width(of: scaleEnds.low, capital: 8) + 8
    let length = max(20, min(160, sheet.image.width - from - 90))
    sheet.putScale(colors, x: from, y: baseline - 9, width: length, height: 10)
    sheet.write(scaleEnds.high, x: from + length + 8, y: baseline, capital: 8)
    return sheet.image
  }
}
