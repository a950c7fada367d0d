import CFFmpeg
import Testing

@testable import Faces

@Suite struct FrameDamageTests {
  /// The whole frames of a video: `k` is a key frame, `d` one that is damaged, `x` a packet that was
  /// refused before the next frame, `.` any other frame.
  private static func sound(_ video: String, delay: Int = 0) -> [Int] {
    var damage = FrameDamage()
    var (number, refused) = (0, 0)
    for sign in video {
      if sign == "x" {
        refused += 1
        continue
      }
      var frame = rfm_video_frame()
      frame.is_key = sign == "k" ? 1 : 0
      frame.is_damaged = sign == "d" ? 1 : 0
      frame.delay = Int32(delay)
      damage.add(frame, number: number, refused: refused)
      refused = 0
      number += 1
    }
    damage.end(refused: refused, number: number)
    #expect(damage.isAny == video.contains { "dx".contains($0) } || video.hasSuffix("x"))
    return damage.soundFrames(of: number)
  }

  @Test func damageLastsToTheNextKeyFrame() {
    #expect(Self.sound("k...k..") == Array(0...6))
    #expect(Self.sound("k.d.k..") == [0, 1, 4, 5, 6])
    #expect(Self.sound("k.d....") == [0, 1])
    #expect(Self.sound("kkdkk") == [0, 1, 3, 4])
    #expect(Self.sound("k.d.kd.k") == [0, 1, 4, 7])
  }

  @Test func framesShownSoonerAreLeftOutToo() {
    #expect(Self.sound("k...d.k.", delay: 2) == [0, 1, 6, 7])
  }

  @Test func aRefusedPacketIsDamageFromThereOn() {
    #expect(Self.sound("k.x..k.") == [0, 1, 4, 5])
    #expect(Self.sound("k.x..k.", delay: 1) == [0, 4, 5])
    // The key frame may be one that was sent before the refused packet.
    #expect(Self.sound("k.xk...k", delay: 2) == [6])
    #expect(Self.sound("kkxkk") == [0, 1, 2, 3])
    #expect(Self.sound("k..x") == [0, 1, 2])
    #expect(Self.sound("k...x", delay: 1) == [0, 1, 2])
  }
}
