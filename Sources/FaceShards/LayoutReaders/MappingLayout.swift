import Foundations

/// A data set laid out in a way of its own, which the user's rules tell (``MappingRules``).
enum MappingLayout: LayoutReader {
  /// Only by the option.
  static func evidence(in input: LayoutInput) -> BytePath? { nil }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    guard let mapping = input.mapping else {
      throw PackError.usage("--layout mapping: give the rules with --mapping FILE")
    }
    let path = BytePath(mapping)
    let bytes = try LayoutText.read(path, limit: MappingRules.maximumBytes)
    return try read(MappingRules(bytes, path), path, input)
  }

  static func read(_ mapping: MappingRules, _ path: BytePath, _ input: LayoutInput) throws
    -> LayoutReading
  {
    var reading = LayoutReading(kind: .mapping)
    var counts = [Int](repeating: 0, count: mapping.rules.count)
    var (skipped, strays, others): ([BytePath], [BytePath], [BytePath]) = ([], [], [])
    var first: [Bool: BytePath] = [:]
    for file in input.files {
      var match: (index: Int, values: [String: [UInt8]])?
      for (index, rule) in mapping.rules.enumerated() {
        if let values = rule.pattern.match(file) {
          match = (index, values)
          break
        }
      }
      guard let (index, values) = match else {
        if input.mediaKind(file) == nil { others.append(file) } else { strays.append(file) }
        continue
      }
      counts[index] += 1
      let rule = mapping.rules[index]
      if rule.skips {
        skipped.append(file)
        continue
      }
      guard let kind = input.mediaKind(file) else {
        others.append(file)
        continue
      }
      let entry = try entry(file, kind, rule, values, path)
      first[entry.split != nil] = first[entry.split != nil] ?? file
      if !rule.shows.isEmpty {
        reading.shows[entry.source, default: []] += rule.shows.map { $0.filled(values) }.filter {
          reading.shows[entry.source]?.contains($0) != true
        }
      }
      reading.entries.append(entry)
    }
    if let with = first[true], let without = first[false] {
      throw input.refusal(
        "\(with) has a split by \(path) and \(without) has none; say it of all files or none")
    }
    if first[true] != nil { reading.splitsBy = "\(path)" }
    guard strays.isEmpty else {
      throw input.refusal(
        "\(strays.count) of \(input.files.count) files are images or videos that no rule of \(path)"
          + " matches: \(LayoutFiles.describe(strays)); add one, with skip: true for what is not meant"
      )
    }
    for (rule, count) in zip(mapping.rules, counts) where count == 0 {
      reading.notes.append(
        "\(path): line \(rule.line): the pattern matches no file that is left to it")
    }
    if !skipped.isEmpty {
      reading.notes.append("\(LayoutFiles.sample(skipped)): left out by skip: true of \(path)")
    }
    LayoutNotes.add(beside: [], others: others, to: &reading)
    reading.guessesTies = true
    return reading
  }

  private static func entry(
    _ file: BytePath, _ kind: PackCandidate.Kind, _ rule: MappingRules.Rule,
    _ values: [String: [UInt8]], _ path: BytePath
  ) throws -> LayoutEntry {
    func refuse(_ text: String) -> PackError {
      .badData("\(path): line \(rule.line): \(file): \(text)")
    }
    let label = rule.label!.filled(values)
    guard let role = FolderRole(Array(label.utf8)), let isFake = role.isFake, role.split == nil
    else {
      throw refuse("the label \(printable(label, limit: 40)) is neither real nor fake")
    }
    let stem = LayoutFiles.stem(file.components.last!)
    var entry = LayoutEntry(
      path: file, kind: kind, method: isFake ? rule.method?.filled(values) ?? "fake" : nil,
      source: rule.source?.filled(values) ?? LayoutFiles.text(stem),
      isNamed: rule.source != nil || kind == .video)
    if let split = rule.split?.filled(values) {
      guard let role = FolderRole(Array(split.utf8)), role.isFake == nil, let split = role.split
      else {
        throw refuse(
          "the split \(printable(split, limit: 40)) is none of train, validation and test")
      }
      entry.split = split
    }
    return entry
  }
}
