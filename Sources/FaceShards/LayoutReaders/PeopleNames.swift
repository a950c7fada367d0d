/// People that names of videos tell, in the forms of known data sets.
enum PeopleNames {
  /// The people in a video of that name, each with the data set that numbers them; none if the name
  /// has no form that is known.
  static func people(in name: String) -> [String] { celebDF(name) ?? deepFakeDetection(name) ?? [] }

  /// Celeb-DF: `id0_0000` shows person 0; `id0_id1_0002` has the face of person 1 in a video of
  /// person 0.
  static func celebDF(_ name: String) -> [String]? {
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3, let clip = parts.last, clip.count == 4,
      isNumber(clip)
    else { return nil }
    let people = parts.dropLast()
    guard people.allSatisfy({ $0.hasPrefix("id") && $0.count <= 6 && isNumber($0.dropFirst(2)) })
    else { return nil }
    return people.map { "Celeb-DF \($0)" }
  }

  /// DeepFakeDetection: `01__walking` shows actor 01; `01_02__walking__ABCDEFGH` has the face of actor
  /// 02 in a video of actor 01.
  static func deepFakeDetection(_ name: String) -> [String]? {
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    let actors = parts.prefix { $0.count == 2 && isNumber($0) }
    // Two underscores follow.
    guard actors.count == 1 || actors.count == 2, parts.count > actors.count + 1,
      parts[actors.count].isEmpty, parts[actors.count + 1].first?.isLetter == true
    else { return nil }
    return actors.map { "actor \($0)" }
  }

  /// FaceForensics++: `000` is a video of YouTube, `000_003` has the face of video 003 in video 000.
  static func faceForensics(_ name: String) -> [String]? {
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 1 || parts.count == 2,
      parts.allSatisfy({ $0.count == 3 && isNumber($0) })
    else { return nil }
    return parts.map(String.init)
  }

  private static func isNumber(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
  }
}
