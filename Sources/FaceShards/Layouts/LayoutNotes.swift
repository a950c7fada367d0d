import Foundations

/// What is said of files that a layout does not take.
enum LayoutNotes {
  /// Notes files that need not be packed.
  static func add(beside: [BytePath], others: [BytePath], to reading: inout LayoutReading) {
    if !beside.isEmpty {
      reading.notes.append(
        "\(LayoutFiles.sample(beside)): masks, thumbnails, landmarks or whole downloads by their folder; not taken as"
          + " images")
    }
    if !others.isEmpty {
      reading.notes.append("\(LayoutFiles.sample(others)): neither images nor videos; passed over")
    }
  }

  /// Refuses images and videos that have no place.
  static func refuse(strays: [BytePath], _ input: LayoutInput, expected: String) throws {
    guard let first = strays.first else { return }
    let pattern =
      first.components.count > 1
      ? "\(LayoutFiles.text(first.components[0]))/*" : "\(first)"
    throw input.refusal(
      "\(strays.count) of \(input.files.count) files are images or videos outside \(expected):"
        + " \(LayoutFiles.describe(strays)); move them there, or leave them out with --skip"
        + " '\(pattern)'")
  }
}
