/// How the files that `pack` reads are laid out: by whom, and with which names.
public enum LayoutKind: String, Sendable, CaseIterable {
  /// Whichever of the others the names and files show.
  case auto
  /// `[SPLIT/]real/…` and `[SPLIT/]fake/METHOD/…`.
  case folders
  /// FaceForensics++ and DeepFakeDetection: `original_sequences/…`, `manipulated_sequences/METHOD/…`.
  case faceforensics
  /// Celeb-DF, versions 1 and 2.
  case celebDF = "celeb-df"
  /// The Deepfake Detection Challenge, and its preview.
  case dfdc
  /// The Diverse Fake Face Dataset: `METHOD/SPLIT/…`.
  case dffd
  /// Frames with the JSON files of DeepfakeBench and DF40.
  case deepfakebench
  /// A table of files with their labels (``PackSettings/list``).
  case list
  /// Rules of the user's own (``PackSettings/mapping``).
  case mapping

  /// What it is called in messages.
  var name: String {
    switch self {
    case .auto: "auto"
    case .folders: "folders"
    case .faceforensics: "FaceForensics++"
    case .celebDF: "Celeb-DF"
    case .dfdc: "DFDC"
    case .dffd: "DFFD"
    case .deepfakebench: "DeepfakeBench"
    case .list: "list"
    case .mapping: "mapping"
    }
  }
}
