untrusted comment: verify with plain.pub
RWQVHdCmdxXQRU9Eai26lSOXPrljYJdl9uISfNM1/NdfLBG5l1rZ/v1HnYiEPzGauYYFwrQIkLLd+5As5L3QlTO6MWcThM5ujQ0=
signed by a throwaway test key
