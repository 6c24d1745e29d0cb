/* The words of the chat in every language it speaks; the only place in the frame that holds any. */

const EN = {
  assistant: "Assistant",
  you: "You",
  subtitle: "Automated answers, each with its source",
  close: "Close chat",
  log: "Conversation",
  suggestions: "People often ask",
  placeholder: "Ask a question…",
  composer: "Your message",
  send: "Send",
  keys: "Enter sends, Shift + Enter starts a new line.",
  sending: "Sending…",
  waiting: "Waiting to send",
  sent: "Sent {time}",
  notSent: "Not sent.",
  retry: "Try again",
  typing: "Looking it up…",
  typingLong: "Still working on it. Thank you for waiting.",
  sources: "Sources",
  choices: "Did you mean",
  source: "Source {n}: {name} (opens in a new tab)",
  newTab: "(opens in a new tab)",
  quote: "Quoted passage",
  offline: "You are offline. What you write is sent when you are back.",
  reconnecting: "The connection was lost. Reconnecting…",
  restored: "Back online.",
  ended: "The earlier conversation has ended. Your next message starts a new one.",
  restarted: "The earlier conversation has ended, so this is a new one.",
  unknownProblem: "Something went wrong on our side. Your message is kept here.",
  left: "{n} characters left",
  over: "{n} characters too many",
  count: "{used} / {limit}",
  jump: "New message",
};

const ZH_HANS = {
  assistant: "助手",
  you: "您",
  subtitle: "自动回答，每句都附来源",
  close: "关闭聊天",
  log: "对话",
  suggestions: "大家常问",
  placeholder: "请输入您的问题…",
  composer: "您的消息",
  send: "发送",
  keys: "按 Enter 发送，Shift + Enter 换行。",
  sending: "正在发送…",
  waiting: "等待发送",
  sent: "{time} 已发送",
  notSent: "未发送。",
  retry: "重试",
  typing: "正在查找…",
  typingLong: "还在处理中，感谢您的耐心等待。",
  sources: "来源",
  choices: "您是想问",
  source: "来源 {n}：{name}（在新标签页打开）",
  newTab: "（在新标签页打开）",
  quote: "引用原文",
  offline: "您已离线。恢复连接后会自动发送您写的内容。",
  reconnecting: "连接已断开，正在重新连接…",
  restored: "已恢复连接。",
  ended: "之前的对话已结束，您的下一条消息将开始新的对话。",
  restarted: "之前的对话已结束，这是一个新的对话。",
  unknownProblem: "我们这边出了点问题，您的消息已保留在这里。",
  left: "还可输入 {n} 个字符",
  over: "超出 {n} 个字符",
  count: "{used} / {limit}",
  jump: "新消息",
};

export const STRINGS = { en: EN, "zh-hans": ZH_HANS };

/* The supported locale nearest to a tag such as "zh-CN" or "de"; English when there is none. */
export function nearestLocale(tag) {
  return /^zh/i.test(tag || "") ? "zh-hans" : "en";
}

/* words("source", {n: 2, name: "Returns"}): the phrase in that locale with its blanks filled. */
export function phrasebook(locale) {
  const phrases = STRINGS[nearestLocale(locale)];
  return (key, values = {}) =>
    phrases[key].replace(/\{(\w+)\}/g, (blank, name) => String(values[name] ?? blank));
}
