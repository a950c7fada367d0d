import CFFmpeg

/// Which frames of a video are not whole. A decoder says so of a frame in which it had to make up parts
/// itself, not of the ones made of it: those end with the next key frame, and may begin before, for what
/// is decoded from a frame may be shown sooner.
struct FrameDamage {
  /// Numbers of frames, ascending, from where to where frames may be made of what is missing.
  private(set) var ranges: [Range<Int>] = []
  /// Where the range goes on that has found no end yet, and the first key frame that may end it.
  private var open: (from: Int, endsFrom: Int)?
  private var lastDelay = 0

  /// Whether anything is damaged.
  var isAny: Bool { !ranges.isEmpty || open != nil }

  /// Takes note of the frame that is `number` among all, before which the decoder refused packets.
  mutating func add(_ frame: rfm_video_frame, number: Int, refused: Int) {
    lastDelay = Int(frame.delay)
    if refused > 0 {
      // What is missing is shown within the delay.
      taint(from: number - lastDelay, endsFrom: number + lastDelay)
    }
    if let open, frame.is_key != 0, number >= open.endsFrom {
      ranges.append(open.from..<number)
      self.open = nil
    }
    if frame.is_damaged != 0 { taint(from: number - lastDelay, endsFrom: number + 1) }
  }

  /// Takes note that packets were refused behind the last frame, of which there are `number`.
  mutating func end(refused: Int, number: Int) {
    if refused > 0, lastDelay > 0 { taint(from: number - lastDelay, endsFrom: .max) }
  }

  private mutating func taint(from: Int, endsFrom: Int) {
    open = (
      min(open?.from ?? .max, max(0, from)), max(open?.endsFrom ?? 0, endsFrom)
    )
  }

  /// The numbers of those of `count` frames that are whole.
  func soundFrames(of count: Int) -> [Int] {
    var isSound = [Bool](repeating: true, count: count)
    for range in ranges + (open.map { [$0.from..<max($0.from, count)] } ?? []) {
      for number in range where number < count { isSound[number] = false }
    }
    return (0..<count).filter { isSound[$0] }
  }
}
