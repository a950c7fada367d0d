import CStandardStreams

/// Writes to standard error in one piece, so that what several processes say does not mix; in turn with what is
/// printed, where a launcher passes both on.
public func writeToStandardError(_ text: String) {
  var text = text
  text.withUTF8 { bytes in
    guard let start = bytes.baseAddress else { return }
    start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
      rfm_write_error($0, bytes.count)
    }
  }
}
