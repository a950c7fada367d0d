import HierarchicalData

/// A shard that was opened and found right in all but its pixels.
struct ValidatedShard {
  let facts: ShardFacts
  /// Indices into the shard's own names.
  let methods: [UInt8]
  let datasets: ShardDatasets

  init(reading path: String) throws { try self.init(ExaminedFile(path)) }

  init(_ examined: ExaminedFile) throws {
    let file = try HDF5File(opening: examined)
    self = try HDF5Library.alone { () throws in try ValidatedShard(file) }
  }

  private init(_ file: borrowing HDF5File) throws {
    let path = file.path
    func refuse(_ reason: String) -> ShardError { ShardError(file: path, reason: reason) }
    guard let format = try file.attribute("format") else {
      throw refuse("it is not a shard: it has no attribute format")
    }
    guard format.text == ShardFormat.name else {
      throw refuse("it is not a shard: its format is \"\(format.description.prefix(40))\"")
    }
    let version = try Self.version(file)
    guard version == Int64(ShardFormat.version) else {
      throw refuse(
        "its format version is \(version), this program reads version \(ShardFormat.version)")
    }

    let opened = try ShardDatasets(file)
    let shape = opened.images.shape
    guard opened.images.type == .uint8, shape.count == 4, shape[3] == 3 else {
      throw refuse(
        "images are \(opened.images.type) of shape \(shape), expected uint8 of shape [N, H, W, 3]")
    }
    let (count, height, width) = (shape[0], shape[1], shape[2])
    guard (1...ShardFormat.sideLimit).contains(height), (1...ShardFormat.sideLimit).contains(width)
    else {
      throw refuse(
        "images are \(height)x\(width) pixels, expected sides of 1 to \(ShardFormat.sideLimit)")
    }
    /// Where rows lie, if all are known.
    func rows(_ name: String, size: Int) -> StoredRows? {
      guard let rows = file.storedRows(of: name), rows.count == count, rows.rowSize == size else {
        return nil
      }
      return rows
    }
    let pixels = height * width
    let imageRows = rows("images", size: pixels * 3)
    let imagesTogether = try Self.checkStorage(opened.images, rows: imageRows, path: path)

    let names = try file.dataset("method_names").readStrings(limit: 1 << 20)
    guard names.first == ShardFormat.real else {
      throw refuse(
        "method_names begin with \(names.first.map { "\"\($0)\"" } ?? "nothing"), expected \"real\""
      )
    }
    guard names.count <= ShardFormat.methodLimit else {
      throw refuse("there are \(names.count) method_names, more than \(ShardFormat.methodLimit)")
    }
    guard !names.contains("") else { throw refuse("one of the method_names is empty") }
    var known = Set<String>()
    for name in names where !known.insert(name).inserted {
      throw refuse("method_names list \"\(name)\" twice")
    }

    let labels = try ShardColumn(
      file.dataset("labels"), count: count, row: "label", expected: "0 (real) or 1 (fake)",
      path: path
    ).classes {
      LabelNames.label($0)
    } unknown: { row, name in
      refuse(
        "row \(row): the label is \(name.map { "\"\($0)\"" } ?? "a number without one name"), "
          + "expected a name such as \"real\" or \"fake\", or the numbers 0 and 1 without names")
    }
    let methods = try ShardColumn(
      file.dataset("methods"), count: count, row: "method", expected: "an index into method_names",
      path: path
    ).classes { name in
      names.firstIndex(of: name).map(Int64.init)
    } unknown: { row, name in
      refuse(
        "row \(row): the method is \(name.map { "\"\($0)\"" } ?? "a number without one name"), "
          + "which is none of the method_names")
    }
    for row in 0..<count {
      guard labels[row] == 0 || labels[row] == 1 else {
        throw refuse("row \(row): the label is \(labels[row]), expected 0 (real) or 1 (fake)")
      }
      guard methods[row] >= 0, methods[row] < names.count else {
        throw refuse(
          "row \(row): the method is \(methods[row]), but there are \(names.count) method_names")
      }
      guard (labels[row] == 0) == (methods[row] == 0) else {
        throw refuse(
          "row \(row): the label is \(labels[row] == 0 ? "real" : "fake"), but the method is "
            + "\"\(names[Int(methods[row])])\"")
      }
    }
    for (name, dataset) in [("sources", opened.sources), ("paths", opened.paths)] {
      guard let dataset else { continue }
      guard case .string = dataset.type else {
        throw refuse("\(name) are \(dataset.type), expected strings")
      }
      guard dataset.shape == [count] else {
        throw refuse("\(name) have shape \(dataset.shape), expected [\(count)] as there are images")
      }
    }
    for (dataset, row) in [
      (opened.frames, []), (opened.boxes, [4]), (opened.landmarks, [FaceOrigin.landmarkCount, 2]),
    ] {
      guard let dataset else { continue }
      switch dataset.type {
      case .integer: break
      case .floatingPoint where dataset.name != "frames": break
      default:
        throw refuse(
          "\(dataset.name) are \(dataset.type), expected"
            + (dataset.name == "frames" ? " whole" : "") + " numbers")
      }
      guard dataset.shape == [count] + row else {
        throw refuse(
          "\(dataset.name) have shape \(dataset.shape), expected \([count] + row)"
            + " as there are images")
      }
      if let reason = try dataset.storage(isMeasured: false).unreadableBecause {
        throw refuse("\(dataset.name) are \(reason)")
      }
    }
    let preprocessing: String?
    switch try file.attribute(ShardFormat.preprocessing) {
    case nil: preprocessing = nil
    case let value?:
      guard let text = value.text, text.utf8.count <= 1 << 16 else {
        throw refuse("its attribute \(ShardFormat.preprocessing) is no text of at most 64 KiB")
      }
      preprocessing = text
    }
    var scale: MaskScale?
    var masksTogether = 1
    var maskRows: StoredRows?
    if let dataset = opened.masks {
      scale = try MaskScale.ofType(dataset, count: count, height: height, width: width, path: path)
      maskRows = rows("masks", size: pixels)
      masksTogether = try Self.checkStorage(dataset, rows: maskRows, path: path)
    }
    guard let checked = file.checked else {
      throw refuse("it was replaced by another file while it was opened")
    }
    facts = ShardFacts(
      path: path, count: count, height: height, width: width, methodNames: names,
      contents: opened.contents, preprocessing: preprocessing,
      imagesUnpackedTogether: imagesTogether, masksUnpackedTogether: masksTogether,
      masksHaveFourAxes: opened.masks?.shape.count == 4, scaleOfType: scale,
      stored: StoredFile(checked: checked, images: imageRows, masks: maskRows))
    self.methods = methods.map { UInt8($0) }
    datasets = opened
  }

  /// The attribute `version`.
  private static func version(_ file: borrowing HDF5File) throws -> Int64 {
    let value = try file.attribute("version")
    if let number = value?.wholeNumber { return number }
    if case .number(let number)? = value, let whole = Int64(exactly: number) { return whole }
    let found =
      switch value {
      case nil: ""
      case .string(let text)?: ", but the text \"\(text.prefix(40))\""
      case .strings(let texts)? where texts.count == 1: ", but the text \"\(texts[0].prefix(40))\""
      case .strings?: ", but texts"
      case .integers?, .numbers?: ", but several numbers"
      case let other?: ", but \(other)"
      }
    throw ShardError(
      file: file.path,
      reason: "it has no whole number as its attribute version\(found), expected "
        + "\(ShardFormat.version)")
  }

  /// Refuses what could not be read in reasonable memory or can't be there.
  ///
  /// - Parameter rows: where rows lie, as far as that is known.
  /// - Returns: rows that are unpacked to read one of them.
  private static func checkStorage(
    _ dataset: HDF5Dataset, rows: StoredRows?, path: String
  ) throws -> Int {
    guard let bytes = dataset.count else {
      throw ShardError(file: path, reason: "\(dataset.name) have an impossible shape")
    }
    let storage = try dataset.storage(isMeasured: rows == nil)
    let stored = rows?.storedBytes ?? storage.storedBytes ?? 0
    if let reason = storage.unreadableBecause {
      throw ShardError(file: path, reason: "\(dataset.name) are \(reason)")
    }
    // Deflate makes at most 1032 bytes of one.
    guard bytes == 0 || storage.layout == .virtual || bytes / 1100 <= stored else {
      throw ShardError(
        file: path,
        reason: "\(dataset.name) declare \(bytes) bytes, but the file holds only "
          + "\(stored) of them")
    }
    let chunk = storage.chunk.reduce(1.0) { $0 * Double($1) }
    guard chunk <= Double(1 << 30) else {
      throw ShardError(
        file: path,
        reason: "\(dataset.name) are stored in chunks of more than 1 GiB; store one image a chunk")
    }
    return storage.rowsUnpackedTogether
  }
}
