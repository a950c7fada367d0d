import Foundations

/// Layouts of known data sets that `pack` does not read as they are: it says which one it sees and what
/// would make it work, instead of passing over what it doesn't know.
enum OtherLayout {
  /// What is seen and what to do, or nil for none of these.
  ///
  /// - Parameters:
  ///   - files: relative to `folder`.
  ///   - folder: for messages.
  static func description(of files: [BytePath], in folder: String) -> String? {
    func first(_ isWanted: ([[UInt8]]) -> Bool) -> BytePath? {
      files.first { isWanted($0.components.dropLast()) }
    }
    func named(_ names: Set<String>, _ depth: Int) -> ([[UInt8]]) -> Bool {
      { $0.prefix(depth).contains { names.contains(String(decoding: $0, as: UTF8.self)) } }
    }
    let link = "; a folder of links (ln -s) will do"
    if let path = first(named(["Celeb-real", "Celeb-synthesis"], 2)) {
      return "laid out as Celeb-DF is (\(path)), which is not read as it is: name the folders"
        + " real/VIDEO/ for those in Celeb-real and YouTube-real and"
        + " fake/Celeb-synthesis/VIDEO/ for those in Celeb-synthesis" + link
    }
    if let path = first(named(["original_sequences", "manipulated_sequences"], 6)) {
      return
        "laid out as FaceForensics++ and DeepfakeBench are (\(path)), which is not read as it is:"
        + " name the folders of frames real/VIDEO/ for those in original_sequences and"
        + " fake/METHOD/VIDEO/ for those in manipulated_sequences" + link
    }
    if let path = first({
      $0.prefix(2).contains { $0.starts(with: "dfdc_train_part_".utf8) }
    }) {
      return "laid out as DFDC is (\(path)), which is not read as it is: name the folders of frames"
        + " real/VIDEO/ and fake/dfdc/VIDEO/ by what metadata.json says" + link
    }
    // METHOD/SPLIT, where nothing says which of them are real.
    var tops = Set<[UInt8]>()
    var example: BytePath?
    for path in files {
      let parts = path.components
      guard parts.count >= 3 else {
        if FolderEntryKind(name: parts.last ?? []) == .other { continue }
        return nil
      }
      guard let role = FolderRole(parts[1]), role.split != nil, role.isFake == nil,
        FolderRole(parts[0])?.split == nil
      else { return nil }
      if FolderRole(parts[0])?.isExact != true { example = example ?? path }
      tops.insert(parts[0])
    }
    guard tops.count > 1, let example else { return nil }
    return
      "laid out as METHOD/SPLIT, as DFFD is (\(example)), which does not say what is real: name"
      + " the folders SPLIT/real/ and SPLIT/fake/METHOD/" + link
  }
}
