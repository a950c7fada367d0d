import CFFmpeg

/// Which frames a video's packets promise, and where decoding may begin. Made of the packets alone,
/// before anything is decoded.
struct FramePlan {
  /// Frames, if each packet that is shown gives one.
  let frameCount: Int
  /// Whether every packet has a time.
  let isTimed: Bool
  /// The times of the frames, ascending; nil if they don't tell the frames apart.
  let times: [Int64]?
  /// Where decoding may begin, ascending: the packet, and the first frame that is whole from there on.
  let entries: [Entry]

  struct Entry: Equatable {
    let packet: Int
    let frame: Int
  }

  init(_ packets: [rfm_video_packet]) {
    frameCount = packets.count { $0.is_shown != 0 }
    let all = packets.map(\.time).sorted()
    isTimed = all.first.map { $0 != RFM_VIDEO_NO_TIME } ?? false
    let areTimesDistinct =
      isTimed && zip(all, all.dropFirst()).allSatisfy { $0 < $1 }
    guard areTimesDistinct else {
      (times, entries) = (nil, [])
      return
    }
    let times = packets.filter { $0.is_shown != 0 }.map(\.time).sorted()
    var entries: [Entry] = []
    var latest = Int64.min
    for (number, packet) in packets.enumerated() {
      // What is shown from here on must not have been sent before.
      if packet.is_entry != 0, latest < packet.time {
        var (low, high) = (0, times.count)
        while low < high {
          let middle = (low + high) / 2
          if times[middle] < packet.time { low = middle + 1 } else { high = middle }
        }
        entries.append(Entry(packet: number, frame: low))
      }
      latest = max(latest, packet.time)
    }
    self.times = times
    self.entries = entries
  }

  /// Where to go on so that frame `target` comes soonest, if that is nearer than decoding on from
  /// `next`, the frame that would come next.
  func jump(to target: Int, from next: Int) -> Entry? {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].frame <= target { low = middle + 1 } else { high = middle }
    }
    guard low > 0, entries[low - 1].frame > next else { return nil }
    return entries[low - 1]
  }

  /// How many frames are decoded to get those of `indices` with jumps.
  func cost(of indices: [Int]) -> Int {
    var (next, cost) = (0, 0)
    for index in indices {
      let start = jump(to: index, from: next)?.frame ?? next
      cost += index + 1 - start
      next = index + 1
    }
    return cost
  }
}
